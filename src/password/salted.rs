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
