//! Tests of the settings.

use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(None, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())), &[])
}

#[test]
fn defaults_match_the_readme() {
    let config = load(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.lease, Duration::from_secs(5));
    assert_eq!(config.max_pi_digits, 100_000_000);
    assert_eq!(config.store_url(), "sqlite:./pausa-data/pausa.db");
    assert_eq!(config.max_upload_bytes, 1 << 40);
    assert_eq!((config.http.max_connections, config.http.max_streams), (10_000, 16));
    assert_eq!((config.graphql.max_aliases, config.graphql.max_list_items), (500, 2_000));
    assert_eq!((config.http.body_silence, config.websocket.ping), (Duration::from_secs(60), Duration::from_secs(15)));
}

#[test]
fn client_limits_have_ranges() {
    let config = load(&[("PAUSA_HTTP_HEADER_SECONDS", "0.5"), ("PAUSA_WEBSOCKET_MAX_OPERATIONS", "3")]).unwrap();
    assert_eq!((config.http.headers, config.websocket.max_operations), (Duration::from_millis(500), 3));
    for (name, value) in
        [("PAUSA_HTTP_MAX_STREAMS", "0"), ("PAUSA_GRAPHQL_MAX_ALIASES", "0"), ("PAUSA_WEBSOCKET_PING_SECONDS", "0")]
    {
        assert!(load(&[(name, value)]).is_err(), "{name} = {value}");
    }
}

#[test]
fn seconds_may_have_a_fraction_in_every_source() {
    let config = load(&[("PAUSA_LEASE_SECONDS", "0.5")]).unwrap();
    assert_eq!(config.lease, Duration::from_millis(500));
    assert!(load(&[("PAUSA_MAX_RUNNING", "1.5")]).is_err(), "a count has no fraction");
}

#[test]
fn an_invalid_setting_is_reported_with_name_value_source_and_allowed_values() {
    let error = load(&[("PAUSA_LEASE_SECONDS", "soon")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid setting lease_seconds = \"soon\" (from the variable PAUSA_LEASE_SECONDS): \
         expected seconds from 0.3 to 3600"
    );
    let error = load(&[("PAUSA_LEASES", "3")]).unwrap_err().to_string();
    assert!(error.starts_with("unknown setting PAUSA_LEASES in the environment"), "{error}");
}

#[test]
fn passwords_are_hidden_in_errors_and_debug_output() {
    let secret = "postgres://me:hunter2@db/pausa";
    let config = load(&[("PAUSA_DATABASE_URL", secret)]).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    assert_eq!(config.datasets().url, secret);
    let error = load(&[("PAUSA_DATABASE_URL", "oracle://me:hunter2@db/pausa")]).unwrap_err().to_string();
    assert!(error.contains("oracle://…@db/pausa") && !error.contains("hunter2"), "{error}");
}

#[test]
fn sqlite_datasets_of_a_postgres_store_are_refused() {
    let store = ("PAUSA_DATABASE_URL", "postgres://me:hunter2@db/pausa");
    let error = load(&[store, ("PAUSA_DATASETS_URL", "sqlite:/data/d.db")]).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid setting datasets_url = \"sqlite:/data/d.db\" (from the variable PAUSA_DATASETS_URL): expected \
         postgres://…, or nothing for the task store's PostgreSQL: other nodes cannot read SQLite files of this one"
    );
    assert!(load(&[store, ("PAUSA_DATASETS_URL", "postgresql://db/other")]).is_ok());
    assert!(load(&[("PAUSA_DATASETS_URL", "postgres://db/other")]).is_ok(), "a SQLite store has one node");
}

#[test]
fn pools_have_sizes() {
    let config = load(&[("PAUSA_STORE_CONNECTIONS", "2"), ("PAUSA_DATASETS_CONNECTIONS", "3")]).unwrap();
    assert_eq!((config.store().connections, config.datasets().connections), (2, 3));
    let error = load(&[("PAUSA_STORE_CONNECTIONS", "1")]).unwrap_err().to_string();
    assert!(error.ends_with("expected a whole number from 2 to 1000"), "{error}");
}

#[test]
fn webhook_keys_are_never_shown() {
    let keys = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw, whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let config = load(&[("PAUSA_WEBHOOK_SECRET", keys)]).unwrap();
    assert_eq!(config.webhook_secrets.len(), 2);
    assert!(!format!("{config:?}").contains("MfKQ"));
    for wrong in ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw!"] {
        let error = load(&[("PAUSA_WEBHOOK_SECRET", wrong)]).unwrap_err().to_string();
        assert!(error.contains("whsec_ and 24 to 64 bytes") && !error.contains("MfKQ"), "{error}");
    }
}

#[test]
fn flags_override_variables_and_variables_override_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file, b"max_running = 3\ncrash_limit = 9\n[retry]\nlimit = 7\n").unwrap();
    let variables = [("PAUSA_MAX_RUNNING".to_owned(), "4".to_owned())];
    let flags = [("max_running".to_owned(), "5".to_owned())];
    let config = Config::load(Some(file.path()), variables.into_iter(), &flags).unwrap();
    assert_eq!((config.max_running, config.crash_limit, config.retry_limit), (Some(5), 9, 7));
}
