//! Due times by a clock that the story sets: hours pass at once, exact to the microsecond.

use jiff::{SignedDuration, Timestamp};
use pausa::clock::Clock;
use serde_json::{Value, json};

use crate::harness::embedded::Embedded;
use crate::harness::receiver::{Answer, Receiver};
use crate::harness::server::PATIENCE;

/// Smallest step of time.
const TICK: SignedDuration = SignedDuration::from_micros(1);

struct Story {
    server: Embedded,
    clock: Clock,
    receiver: Receiver,
}

impl Story {
    async fn begin(settings: &[(&str, &str)]) -> Story {
        let clock = Clock::test("2026-03-28T22:30:00Z".parse::<Timestamp>().unwrap());
        let settings = [&[("PAUSA_OUTBOUND_ALLOW_PRIVATE", "true")], settings].concat();
        let server = Embedded::start(&settings, Vec::new(), clock.clone()).await;
        Story { server, clock, receiver: Receiver::kind().await }
    }

    async fn timer(&self, after: &str) -> String {
        self.timer_for(&self.receiver.url, after).await
    }

    async fn timer_for(&self, url: &str, after: &str) -> String {
        let input = format!("{{ url: \"{url}\", when: {{ after: {{ {after} }} }} }}");
        let answer = self.server.ask(&format!("mutation {{ startTimer(input: {input}) {{ id }} }}")).await;
        answer["data"]["startTimer"]["id"].as_str().unwrap().to_owned()
    }

    async fn task(&self, id: &str) -> Value {
        let fields = "state ... on TimerTask { firesAt secondsLeft deliveries { latenessMs status } }";
        self.server.ask(&format!("{{ task(id: \"{id}\") {{ {fields} }} }}")).await["data"]["task"].take()
    }

    /// Waits until the first attempt is in the history and the next one is scheduled.
    async fn attempted(&self, id: &str) {
        let query =
            "subscription($id: ID!) { taskProgress(id: $id) { state ... on TimerTask { deliveries { status } } } }";
        let mut watch = self.server.watch(query, id).await;
        watch.until(|task| task["state"] == "SCHEDULED" && task["deliveries"][0].is_object()).await;
    }

    async fn control(&self, verb: &str, id: &str) {
        let answer = self.server.ask(&format!("mutation {{ {verb}(id: \"{id}\") {{ state }} }}")).await;
        assert!(answer.get("errors").is_none(), "{answer}");
    }

    /// Waits until a new timer that is due now has fired, and with it all others that are due.
    async fn settle(&self) {
        let now = self.timer("").await;
        self.server.until(&now, "COMPLETED").await;
    }

    /// Returns the lateness of each attempt, in milliseconds.
    async fn lateness(&self, id: &str) -> Vec<f64> {
        let deliveries = self.task(id).await["deliveries"].take();
        deliveries.as_array().unwrap().iter().map(|attempt| attempt["latenessMs"].as_f64().unwrap()).collect()
    }

    /// Returns how often the webhook of the task came.
    fn came(&self, id: &str) -> usize {
        self.receiver.hooks().iter().filter(|hook| hook.id() == id).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_and_an_hour_are_90000_seconds_and_not_a_microsecond_less() {
    let story = Story::begin(&[]).await;
    let id = story.timer("hours: 25").await;
    let task = story.task(&id).await;
    assert_eq!((&task["firesAt"], &task["secondsLeft"]), (&json!("2026-03-29T23:30:00Z"), &json!(90_000.0)));
    story.clock.advance(SignedDuration::from_hours(25) - TICK);
    story.settle().await;
    assert_eq!(story.came(&id), 0);
    assert_eq!(story.task(&id).await["secondsLeft"], 0.000_001);
    story.clock.advance(TICK);
    story.server.until(&id, "COMPLETED").await;
    let task = story.task(&id).await;
    assert_eq!(
        (&task["secondsLeft"], &task["deliveries"]),
        (&json!(0.0), &json!([{ "latenessMs": 0.0, "status": 200 }]))
    );
    assert_eq!(story.came(&id), 1);
    assert!(story.server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_may_request_a_delay_of_two_hours() {
    let story = Story::begin(&[]).await;
    story.receiver.change(|_, _| Answer::RetryAfter(503, "7200"));
    let id = story.timer("minutes: 1").await;
    story.clock.advance(SignedDuration::from_mins(1));
    story.attempted(&id).await;
    story.receiver.change(|_, _| Answer::Status(204));
    story.clock.advance(SignedDuration::from_hours(2) - TICK);
    story.settle().await;
    assert_eq!(story.came(&id), 1);
    story.clock.advance(TICK);
    story.server.until(&id, "COMPLETED").await;
    assert_eq!(story.came(&id), 2);
    assert!(story.server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_lasts_beyond_the_due_time_until_its_expiry() {
    let story = Story::begin(&[("PAUSA_MAX_PAUSE_SECONDS", "7200"), ("PAUSA_PAUSE_EXPIRY", "RESUME")]).await;
    let (late, early) = (story.timer("hours: 1").await, story.timer("hours: 3").await);
    for id in [&late, &early] {
        story.control("pause", id).await;
    }
    story.clock.advance(SignedDuration::from_hours(2) - TICK);
    story.settle().await;
    assert_eq!(
        (&story.task(&late).await["state"], &story.task(&early).await["state"]),
        (&json!("PAUSED"), &json!("PAUSED"))
    );
    story.clock.advance(TICK);
    story.server.until(&late, "COMPLETED").await;
    assert_eq!(story.lateness(&late).await, [0.0], "it has been due since the pause ended");
    story.server.until(&early, "SCHEDULED").await;
    story.clock.advance(SignedDuration::from_hours(1));
    story.server.until(&early, "COMPLETED").await;
    assert_eq!((story.came(&late), story.came(&early)), (1, 1));
    assert!(story.server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lateness_counts_from_the_time_at_which_the_attempt_became_due() {
    let story = Story::begin(&[]).await;
    let (paused, failed, retried) =
        (story.timer("hours: 1").await, story.timer("hours: 1").await, story.timer("hours: 1").await);
    story.control("pause", &paused).await;
    let (gone, busy) = (failed.clone(), retried.clone());
    story.receiver.change(move |hook, before| match hook.id() {
        id if id == gone && before == 0 => Answer::Status(410),
        id if id == busy && before == 0 => Answer::RetryAfter(503, "7200"),
        _ => Answer::Status(200),
    });
    story.clock.advance(SignedDuration::from_hours(1) + TICK * 1000);
    story.server.until(&failed, "FAILED").await;
    story.attempted(&retried).await;
    story.clock.advance(SignedDuration::from_hours(2) + TICK * 2000);
    story.server.until(&retried, "COMPLETED").await;
    for id in [&paused, &failed] {
        story.control("resume", id).await;
        story.server.until(id, "COMPLETED").await;
    }
    assert_eq!(story.lateness(&paused).await, [0.0], "a resume makes it due");
    assert_eq!(story.lateness(&failed).await, [1.0, 0.0], "so does the resume of a failed timer");
    assert_eq!(story.lateness(&retried).await, [1.0, 2.0], "a retry has its own due time");
    assert!(story.server.end().await);
}

/// Timers for a host at its limit are deferred. That counts as lateness, from the same due time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lateness_includes_the_wait_for_a_host_at_its_limit() {
    let story = Story::begin(&[("PAUSA_TIMER_MAX_SENDING", "2"), ("PAUSA_TIMER_MAX_SENDING_PER_HOST", "1")]).await;
    let other = Receiver::kind().await;
    let resumed = story.timer("seconds: 1").await;
    story.control("pause", &resumed).await;
    story.clock.advance(SignedDuration::from_secs(100));
    story.receiver.change(|_, _| Answer::Never);
    // One is being sent and two are reserved: no other can be reserved.
    let sent = story.timer("").await;
    story.receiver.until(1).await;
    let waits = [story.timer("").await, story.timer("").await];
    for id in &waits {
        story.server.until(id, "RUNNING").await;
    }
    story.control("resume", &resumed).await;
    // The timer for another host is claimed together with the deferral of the resumed one.
    let taken = story.timer_for(&other.url, "").await;
    story.server.until(&taken, "COMPLETED").await;
    assert_eq!(story.task(&resumed).await["state"], "QUEUED");
    story.clock.advance(SignedDuration::from_secs(20));
    story.receiver.change(|_, _| Answer::Status(200));
    story.control("terminate", &sent).await;
    for id in &waits {
        story.server.until(id, "COMPLETED").await;
    }
    story.clock.advance(SignedDuration::from_secs(20));
    story.server.until(&resumed, "COMPLETED").await;
    assert_eq!(story.lateness(&waits[0]).await, [20_000.0]);
    // It may have been claimed as soon as a reservation was free.
    let late = story.lateness(&resumed).await[0];
    assert!([20_000.0, 40_000.0].contains(&late), "{late} ms after its resume");
    assert!(story.server.end().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_timers_are_deleted_after_the_retention_time() {
    let story = Story::begin(&[("PAUSA_RETENTION_SECONDS", "86400")]).await;
    let id = story.timer("").await;
    story.server.until(&id, "COMPLETED").await;
    story.clock.advance(SignedDuration::from_hours(24) - TICK);
    story.settle().await;
    assert_eq!(story.task(&id).await["state"], "COMPLETED");
    story.clock.advance(TICK);
    let forgotten = async {
        while !story.task(&id).await.is_null() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, forgotten).await.expect("it is forgotten");
    assert!(story.server.end().await);
}
