//! Settings from environment variables.

use pausa::config::SqliteUrl;
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
    let (mut server, log) = Server::logging(&OF_SERVICES).await;
    assert_eq!(server.get("/healthz").await.status(), 200);
    assert_eq!(server.terminate().await, Some(0));
    let log = log.await.unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("PAUSA_")).collect();
    assert!(lines.len() == 1 && lines[0].contains(" WARN "), "{log}");
    assert!(OF_SERVICES.iter().all(|(name, _)| lines[0].contains(name)), "{}", lines[0]);
}

#[tokio::test]
async fn a_value_may_be_in_a_file() {
    let (folder, file) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    let url = SqliteUrl::from_path(&folder.path().join("elsewhere.db"));
    std::fs::write(file.path(), format!("{url}\n")).unwrap();
    let mut server = Server::with(&[("PAUSA_DATABASE_URL_FILE", file.path().to_str().unwrap())]).await;
    assert_eq!(server.terminate().await, Some(0));
    assert!(folder.path().join("elsewhere.db").exists());

    std::fs::write(file.path(), "oracle://me:hunter2@db/pausa").unwrap();
    let path = file.path().to_str().unwrap();
    let cases = [
        (vec![("PAUSA_DATABASE_URL_FILE", path)], "from the file of the variable PAUSA_DATABASE_URL_FILE"),
        (vec![("PAUSA_WEBHOOK_SECRET_FILE", path)], "from the file of the variable PAUSA_WEBHOOK_SECRET_FILE"),
        (vec![("PAUSA_DATABASE_URL_FILE", "/nowhere")], "PAUSA_DATABASE_URL_FILE: cannot read the file /nowhere"),
        (vec![("PAUSA_NODE_FILE", path), ("PAUSA_NODE", "n")], "PAUSA_NODE_FILE: PAUSA_NODE is set as well"),
        (vec![("PAUSA_NODES_FILE", path)], "unknown setting PAUSA_NODES_FILE"),
    ];
    for (variables, expected) in cases {
        let text = refused(&variables).await;
        assert!(text.contains(expected) && !text.contains("hunter2"), "{text}");
    }
}

/// A busy address ends the start after the log has a line.
#[tokio::test]
async fn only_a_terminal_gets_colours() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let output = async |program: &str, arguments: &[&str], no_color: &str| {
        let mut command = Command::new(program);
        command.args(arguments).env("PAUSA_LISTEN", taken.local_addr().unwrap().to_string()).env("NO_COLOR", no_color);
        command.env("PAUSA_SERVICE_HOST", "10.0.0.1").env("PAUSA_DATA_DIR", folder.path()).env_remove("PAUSA_BLESS");
        let ended = command.output().await.unwrap();
        let text = String::from_utf8([ended.stdout, ended.stderr].concat()).unwrap();
        assert!(text.contains("PAUSA_SERVICE_HOST"), "{text}");
        text.contains('\u{1b}')
    };
    let pausa = env!("CARGO_BIN_EXE_pausa");
    let terminal = ["--quiet", "--return", "--command", pausa, "/dev/null"];
    assert!(output("script", &terminal, "").await, "a terminal");
    assert!(!output("script", &terminal, "1").await, "a terminal with NO_COLOR");
    assert!(!output(pausa, &[], "").await, "a pipe");
    let log = folder.path().join("log");
    let to_file = format!("{pausa} 2>{0}; cat {0}", log.display());
    assert!(!output("sh", &["-c", &to_file], "").await, "a file");
}

/// Starts the program, which must refuse to start, and returns what it prints.
pub async fn refused(variables: &[(&str, &str)]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pausa"));
    command
        .env("PAUSA_DATA_DIR", folder.path())
        .env_remove("PAUSA_BLESS")
        .envs(variables.iter().copied())
        .kill_on_drop(true);
    let ended = command.output().await.unwrap();
    let text = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{variables:?}: {text}");
    text
}

#[tokio::test]
async fn an_unknown_variable_stops_the_start_and_suggests_a_setting() {
    let cases = [
        ("PAUSA_LISTN", "127.0.0.1:0", "unknown setting PAUSA_LISTN in the environment: did you mean PAUSA_LISTEN?"),
        ("PAUSA_PORT", "8080", "unknown setting PAUSA_PORT in the environment: config.default.toml lists"),
    ];
    for (name, value, expected) in cases {
        let text = refused(&[(name, value)]).await;
        assert!(text.contains(expected), "{name}: {text}");
    }
}
