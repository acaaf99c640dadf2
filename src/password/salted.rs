//! One digest of the password, with or without salt behind it: `{SSHA512}` and back to `{PLAIN-MD4}`. As in LDAP.

use ::sha2::{Sha256, Sha512};
use md4::Md4;
use md5::{Digest, Md5};
use sha1::Sha1;

use super::{Attempt, Scheme, Verifier, VerifyError, Workspace, crypt, equal, scheme};

pub(super) struct Hash {
    algorithm: Algorithm,
    digest: Vec<u8>,
    salt: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Algorithm {
    Md4,
    Md5,
    Sha1,
    Sha256,
    Sha512,
}

/// `{MD5}`: MD5-CRYPT where it says so, else a bare MD5.
pub(super) fn read_md5(bytes: &[u8]) -> Result<Box<dyn Verifier>, VerifyError> {
    if bytes.starts_with(b"$1$") {
        return crypt::read(Scheme::Md5, bytes);
    }
    let malformed = || Scheme::Md5.malformed("it is neither MD5-CRYPT nor a bare MD5 in hexadecimal or base64");
    let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
    let (_, bytes) = scheme::read(&format!("{{PLAIN-MD5}}{text}")).map_err(|_| malformed())?;
    Ok(Box::new(Hash::read(Scheme::Md5, &bytes)?))
}

impl Hash {
    /// Reads the bytes of a hash; those of a scheme without salt have just the length of its digest.
    pub(super) fn read(scheme: Scheme, bytes: &[u8]) -> Result<Self, VerifyError> {
        let (algorithm, length) = match scheme {
            Scheme::PlainMd4 => (Algorithm::Md4, 16),
            Scheme::Sha1 | Scheme::Ssha => (Algorithm::Sha1, 20),
            Scheme::Sha256 | Scheme::Ssha256 => (Algorithm::Sha256, 32),
            Scheme::Sha512 | Scheme::Ssha512 => (Algorithm::Sha512, 64),
            _ => (Algorithm::Md5, 16),
        };
        let salted = matches!(scheme, Scheme::Smd5 | Scheme::Ssha | Scheme::Ssha256 | Scheme::Ssha512);
        let (digest, salt) = bytes.split_at_checked(length).ok_or_else(|| scheme.malformed("it is too short"))?;
        if salt.is_empty() == salted {
            return Err(scheme.malformed("its length does not fit the scheme"));
        }
        Ok(Self { algorithm, digest: digest.to_vec(), salt: salt.to_vec() })
    }

    fn is_of<D: Digest>(&self, password: &str) -> bool {
        equal(&D::new().chain_update(password).chain_update(&self.salt).finalize(), &self.digest)
    }
}

impl Verifier for Hash {
    fn matches(&self, attempt: &Attempt<'_>, _: &mut Workspace) -> Result<bool, VerifyError> {
        Ok(match self.algorithm {
            Algorithm::Md4 => self.is_of::<Md4>(attempt.password),
            Algorithm::Md5 => self.is_of::<Md5>(attempt.password),
            Algorithm::Sha1 => self.is_of::<Sha1>(attempt.password),
            Algorithm::Sha256 => self.is_of::<Sha256>(attempt.password),
            Algorithm::Sha512 => self.is_of::<Sha512>(attempt.password),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, fits};
    use super::*;

    /// "abc" of RFC 1320, RFC 1321 and FIPS 180-4; "test" of Dovecot 2.4.1 src/lib-auth/test-password-scheme.c.
    #[test]
    fn published_digests_fit() {
        let hashes = [
            ("abc", "{PLAIN-MD4}a448017aaf21d8525fc10ae87aa6729d"),
            ("abc", "{PLAIN-MD5}900150983cd24fb0d6963f7d28e17f72"),
            ("abc", "{MD5}900150983cd24fb0d6963f7d28e17f72"),
            ("abc", "{SHA}a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("abc", "{SHA256}ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
            (
                "abc",
                "{SHA512}ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
            ("test", "{MD5}$1$wmyrgRuV$kImF6.9MAFQNHe23kq5vI/"),
            ("test", "{LDAP-MD5}CY9rzUYh03PK3k6DJie09g=="),
            ("test", "{SMD5}JTu1KRwptKZJg/RLd+6Vn5GUd0M="),
            ("test", "{SSHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO"),
        ];
        for (password, hash) in hashes {
            fits(hash, password);
        }
    }

    #[test]
    fn salt_is_part_of_a_salted_hash_and_of_no_other() {
        for hash in
            ["{SSHA}qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", "{SHA}H/zrDv8FXUu1JmwvVYijfrYEF34jVZcO", "{SSHA}AAAA", "{MD5}x"]
        {
            let verdict = check("abc", hash);
            assert!(matches!(verdict, Err(VerifyError::Malformed { .. })), "{verdict:?} for {hash}");
        }
    }
}
