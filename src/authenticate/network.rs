//! `allow_nets`: from which networks an account may log in.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::account::Origin;

/// `allow_nets` as Dovecot writes it: networks and addresses parted by commas; `local` is a program on this host.
/// What cannot be read allows nothing.
pub(super) fn allows(networks: &str, origin: Origin) -> bool {
    networks.split([',', ' ']).filter(|entry| !entry.is_empty()).any(|entry| match origin {
        Origin::Local(_) => entry == "local",
        Origin::Address(address) => {
            let address = address.to_canonical();
            let network = entry.parse::<IpNet>().or_else(|_| entry.parse::<IpAddr>().map(IpNet::from));
            network.is_ok_and(|network| network.contains(&address))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_held_to_its_networks() {
        let cases = [
            ("192.0.2.0/24", "192.0.2.9", true),
            ("192.0.2.0/24", "::ffff:192.0.2.9", true),
            ("192.0.2.0/24", "198.51.100.1", false),
            ("192.0.2.1,2001:db8::/32", "2001:db8::7", true),
            ("192.0.2.1, 198.51.100.7", "198.51.100.7", true),
            ("local", "127.0.0.1", false),
            ("nonsense", "192.0.2.9", false),
            ("", "192.0.2.9", false),
        ];
        for (networks, address, allowed) in cases {
            let origin = Origin::Address(address.parse().expect("an address"));
            assert_eq!(allows(networks, origin), allowed, "{networks} {address}");
        }
        assert!(allows("192.0.2.1,local", Origin::Local(1000)));
        assert!(!allows("192.0.2.1", Origin::Local(1000)));
    }
}
