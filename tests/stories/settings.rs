//! Settings from environment variables.

use tokio::process::Command;

use crate::harness::server::Server;

/// Variables that Kubernetes sets in each container when there are Services named `pausa` and `pausa-api`.
const OF_SERVICES: [(&str, &str); 13] = [
    ("PAUSA_SERVICE_HOST", "10.0.0.1"),
    ("PAUSA_SERVICE_PORT", "8080"),
    ("PAUSA_SERVICE_PORT_HTTP", "8080"),
    ("PAUSA_PORT", "tcp://10.0.0.1:8080"),
    ("PAUSA_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
    ("PAUSA_PORT_8080_TCP_PROTO", "tcp"),
    ("PAUSA_PORT_8080_TCP_PORT", "8080"),
    ("PAUSA_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ("PAUSA_API_SERVICE_HOST", "10.0.0.2"),
    ("PAUSA_API_SERVICE_PORT", "8080"),
    ("PAUSA_API_PORT", "tcp://10.0.0.2:8080"),
    ("PAUSA_API_PORT_8080_TCP", "tcp://10.0.0.2:8080"),
    ("PAUSA_API_PORT_8080_TCP_ADDR", "10.0.0.2"),
];

#[tokio::test]
async fn variables_of_a_service_named_pausa_do_not_stop_the_start() {
    let (mut server, log) = Server::logging(&[&OF_SERVICES[..], &[("PAUSA_LOG", "pausa=debug")]].concat()).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("PAUSA_")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    assert!(OF_SERVICES.iter().all(|(name, _)| lines[0].contains(name)), "{}", lines[0]);
}

#[tokio::test]
async fn an_unknown_variable_stops_the_start_and_suggests_a_setting() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("PAUSA_LISTN", "127.0.0.1:0", "unknown setting PAUSA_LISTN in the environment: did you mean PAUSA_LISTEN?"),
        ("PAUSA_PORT", "8080", "unknown setting PAUSA_PORT in the environment: config.default.toml lists"),
    ];
    for (name, value, expected) in cases {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pausa"));
        command.env("PAUSA_DATA_DIR", folder.path()).env_remove("PAUSA_BLESS").env(name, value).kill_on_drop(true);
        let ended = command.output().await.unwrap();
        let text = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(1), "{name}: {text}");
        assert!(text.contains(expected), "{name}: {text}");
    }
}
