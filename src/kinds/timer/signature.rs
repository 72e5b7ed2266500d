//! Signs webhooks by the Standard Webhooks specification 1.0.0: HMAC-SHA256 of `id.seconds.body`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Signs with each of its keys, so that receivers can rotate keys.
pub struct Signer(Vec<Vec<u8>>);

impl Signer {
    /// A signer with these keys. Without keys, nothing is signed.
    pub fn new(keys: Vec<Vec<u8>>) -> Signer {
        Signer(keys)
    }

    /// Returns the value of `webhook-signature`: `v1,` and the signature in base64 for each key, separated by spaces. None without
    /// keys.
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
