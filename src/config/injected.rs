//! Environment variables that Kubernetes and Docker set for a service named `pausa` or `pausa-…`. They look like settings.

/// Protocols of a service's port.
const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Returns true if Kubernetes or a Docker link sets a variable of this name and value for a service.
pub fn is_injected(name: &str, value: &str) -> bool {
    let Some(rest) = name.strip_prefix("PAUSA_") else { return false };
    let words: Vec<&str> = rest.split('_').collect();
    // The service's name may continue after `pausa` with any number of words.
    (0..words.len()).any(|skipped| is_of_service(&words[skipped..], value))
}

/// Returns true if the part after the service's name fits.
fn is_of_service(words: &[&str], value: &str) -> bool {
    match words {
        ["SERVICE", "HOST"] | ["SERVICE", "PORT"] => true,
        ["SERVICE", "PORT", port @ ..] => port.iter().all(|word| is_word(word)),
        ["PORT"] => is_address(value),
        ["PORT", port, protocol] => is_port(port, protocol) && is_address(value),
        ["PORT", port, protocol, "PROTO" | "PORT" | "ADDR"] => is_port(port, protocol),
        _ => false,
    }
}

fn is_port(port: &str, protocol: &str) -> bool {
    port.parse::<u16>().is_ok() && PROTOCOLS.contains(&protocol)
}

/// Returns true for an upper-case word of a service's or port's name.
fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Returns true for an address such as `tcp://10.0.0.1:8080`.
fn is_address(value: &str) -> bool {
    value.split_once("://").is_some_and(|(scheme, _)| PROTOCOLS.iter().any(|known| known.to_lowercase() == scheme))
}

#[cfg(test)]
mod tests {
    use super::is_injected;

    #[test]
    fn service_variables_are_distinguished_from_settings() {
        let cases = [
            ("PAUSA_SERVICE_HOST", "10.0.0.1", true),
            ("PAUSA_SERVICE_PORT", "8080", true),
            ("PAUSA_SERVICE_PORT_HTTP", "8080", true),
            ("PAUSA_SERVICE_PORT_HTTP_METRICS", "9090", true),
            ("PAUSA_PORT", "tcp://10.0.0.1:8080", true),
            ("PAUSA_PORT", "udp://10.0.0.1:53", true),
            ("PAUSA_PORT", "sctp://[fd00::1]:8080", true),
            ("PAUSA_PORT_8080_TCP", "tcp://10.0.0.1:8080", true),
            ("PAUSA_PORT_8080_TCP_PROTO", "tcp", true),
            ("PAUSA_PORT_8080_TCP_PORT", "8080", true),
            ("PAUSA_PORT_8080_TCP_ADDR", "10.0.0.1", true),
            ("PAUSA_PORT_53_UDP_ADDR", "10.0.0.1", true),
            ("PAUSA_API_SERVICE_HOST", "10.0.0.1", true),
            ("PAUSA_API_PORT", "tcp://10.0.0.1:8080", true),
            ("PAUSA_API_V2_PORT_8080_TCP_ADDR", "10.0.0.1", true),
            ("PAUSA_PORT", "8080", false),
            ("PAUSA_PORT", "http://10.0.0.1:8080", false),
            ("PAUSA_API_PORT", "8080", false),
            ("PAUSA_PORT_8080_TCP", "10.0.0.1:8080", false),
            ("PAUSA_PORT_99999_TCP_ADDR", "10.0.0.1", false),
            ("PAUSA_PORT_8080_HTTP_ADDR", "10.0.0.1", false),
            ("PAUSA_PORT_8080_TCP_NAME", "x", false),
            ("PAUSA_SERVICE", "x", false),
            ("PAUSA_SERVICE_NAME", "x", false),
            ("PAUSA_SERVICE_PORT_", "8080", false),
            ("PAUSA_HOST", "10.0.0.1", false),
            ("PAUSA_", "tcp://10.0.0.1:8080", false),
            ("PAUSAPI_SERVICE_HOST", "10.0.0.1", false),
        ];
        for (name, value, expected) in cases {
            assert_eq!(is_injected(name, value), expected, "{name}={value}");
        }
    }
}
