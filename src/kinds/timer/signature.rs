//! Signatures of webhooks, by the specification of Standard Webhooks, version 1.0.0: HMAC-SHA256 over the id, the seconds and
//! the body, with points between them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs with each of its keys, so that receivers can change from one to the next.
pub struct Signer(Vec<Vec<u8>>);

impl Signer {
    /// Signs with these keys; without any, not at all.
    pub fn new(keys: Vec<Vec<u8>>) -> Signer {
        Signer(keys)
    }

    /// The value of `webhook-signature`: `v1,` and the signature in base64, for each key, with blanks between them.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> Option<String> {
        let signed = format!("{id}.{timestamp}.{body}");
        // HMAC takes keys of every length.
        let macs = self.0.iter().filter_map(|key| Hmac::<Sha256>::new_from_slice(key).ok());
        let signatures = macs.map(|mut mac| {
            mac.update(signed.as_bytes());
            format!("v1,{}", BASE64.encode(mac.finalize().into_bytes()))
        });
        let signatures: Vec<_> = signatures.collect();
        (!signatures.is_empty()).then(|| signatures.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn the_example_of_standard_webhooks_has_its_signature() {
        let key = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signer = Signer::new(vec![key]);
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(Signer::new(Vec::new()).sign("id", 1, ""), None);
    }
}
