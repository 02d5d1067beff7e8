//! What the viewers of a live tail get, and what they are told that they did not get.
//!
//! A message holds one or more lines. A line that begins with `{` is a record. One that begins with `[` is a notice, which no
//! record can be taken for: `["lost",{…}]` or `["mark",{"bytes":n}]`. A viewer that said so answers marks with
//! `{"ack":n}`, and so the object knows how much it has read: the runtime does not say what it still holds for a WebSocket.
//! Pure: which sockets there are, and what time it is, is the caller's.

use crate::limits::{
    TAIL_BYTES_PER_SEC, TAIL_LINES_PER_SEC, TAIL_MESSAGE_BYTES, TAIL_PLAIN_BYTES, TAIL_WINDOW_BYTES,
};
use serde::{Deserialize, Serialize};
use std::ops::AddAssign;

/// Records that a session selected and a viewer did not get, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lost {
    /// One batch had more than fits ([`TAIL_BATCH_MAX_BYTES`](crate::limits::TAIL_BATCH_MAX_BYTES)).
    pub batch_limit: u64,
    /// They were not handed over to the session in time, or it is not known that they were.
    pub hand_over: u64,
    /// There were more in a second than a session shows.
    pub rate_limit: u64,
    /// The viewer had not acknowledged enough of what was before them.
    pub slow_viewer: u64,
}

impl Lost {
    /// All together.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.batch_limit + self.hand_over + self.rate_limit + self.slow_viewer
    }

    /// The line that says so: only what is not 0, and the sum.
    fn notice(&self) -> String {
        let mut members = format!("\"records\":{}", self.records());
        for (name, count) in [
            ("batch_limit", self.batch_limit),
            ("hand_over", self.hand_over),
            ("rate_limit", self.rate_limit),
            ("slow_viewer", self.slow_viewer),
        ] {
            if count > 0 {
                members.push_str(&format!(",\"{name}\":{count}"));
            }
        }
        format!("[\"lost\",{{{members}}}]\n")
    }
}

impl AddAssign for Lost {
    fn add_assign(&mut self, other: Self) {
        self.batch_limit += other.batch_limit;
        self.hand_over += other.hand_over;
        self.rate_limit += other.rate_limit;
        self.slow_viewer += other.slow_viewer;
    }
}

/// How much a session may still show in this second.
#[derive(Clone, Debug)]
pub struct Rate {
    lines: u64,
    bytes: u64,
    since_millis: u64,
}

impl Rate {
    /// A whole second's worth.
    #[must_use]
    pub fn new(now_millis: u64) -> Self {
        Self {
            lines: TAIL_LINES_PER_SEC,
            bytes: TAIL_BYTES_PER_SEC,
            since_millis: now_millis,
        }
    }

    /// Adds what the time since the last call allows, up to a second's worth.
    fn refill(&mut self, now_millis: u64) {
        let passed = now_millis.saturating_sub(self.since_millis).min(1_000);
        let refilled = |left: u64, per_sec: u64| (left + per_sec * passed / 1_000).min(per_sec);
        self.lines = refilled(self.lines, TAIL_LINES_PER_SEC);
        self.bytes = refilled(self.bytes, TAIL_BYTES_PER_SEC);
        self.since_millis = now_millis;
    }

    fn takes(&mut self, bytes: u64) -> bool {
        let fits = self.lines >= 1 && self.bytes >= bytes;
        if fits {
            self.lines -= 1;
            self.bytes -= bytes;
        }
        fits
    }
}

/// Lines that go into one message.
#[derive(Debug, Default)]
struct Piece {
    text: String,
    records: u64,
}

/// What one batch brings to all viewers of a session.
#[derive(Debug)]
pub struct Delivery {
    pieces: Vec<Piece>,
    lost: Lost,
}

impl Delivery {
    /// Takes the lines of a batch as far as the rate allows. `lines` is UTF-8, each line with its newline.
    #[must_use]
    pub fn new(lines: &[u8], lost: Lost, rate: &mut Rate, now_millis: u64) -> Self {
        rate.refill(now_millis);
        let mut delivery = Self {
            pieces: Vec::new(),
            lost,
        };
        for line in String::from_utf8_lossy(lines).split_inclusive('\n') {
            if !rate.takes(line.len() as u64) {
                delivery.lost.rate_limit += 1;
                continue;
            }
            match delivery.pieces.last_mut() {
                Some(piece) if piece.text.len() + line.len() <= TAIL_MESSAGE_BYTES => {
                    piece.text.push_str(line);
                    piece.records += 1;
                }
                _ => delivery.pieces.push(Piece {
                    text: line.to_owned(),
                    records: 1,
                }),
            }
        }
        delivery
    }
}

/// What to do for a viewer now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Messages to send, in order.
    pub messages: Vec<String>,
    /// Close the connection after them.
    pub close: Option<Close>,
}

/// Why a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Close {
    /// Somebody ended the session.
    Ended,
    /// The session's time is over.
    TimeIsUp,
    /// The viewer acknowledges nothing, and has got as much as such a one gets.
    Unacknowledged,
}

impl Close {
    /// The close code. Those from 4000 on are an application's own (RFC 6455, 7.4.2).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Ended => 1000,
            Self::TimeIsUp => 4001,
            Self::Unacknowledged => 4008,
        }
    }

    /// The text that goes with it, at most 123 bytes (RFC 6455, 5.5).
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ended => "the session was ended",
            Self::TimeIsUp => "the session's time is over: create another one",
            Self::Unacknowledged => {
                "8 MiB were sent and none acknowledged: connect again, or with ?ack=true (docs/tail.md)"
            }
        }
    }
}

/// One viewer. Kept with its connection, so that it is there again when the object was out of memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Viewer {
    /// It gets marks and answers them.
    acknowledges: bool,
    /// Bytes of all messages so far, marks apart.
    sent: u64,
    /// The highest number that it answered.
    acknowledged: u64,
    /// It gets nothing until it has read half of what is on its way. Otherwise it would be told of every few records anew.
    is_behind: bool,
    /// What it has not been told of.
    untold: Lost,
}

#[derive(Deserialize)]
struct Ack {
    ack: u64,
}

impl Viewer {
    /// One that has just connected.
    #[must_use]
    pub fn new(acknowledges: bool) -> Self {
        Self {
            acknowledges,
            sent: 0,
            acknowledged: 0,
            is_behind: false,
            untold: Lost::default(),
        }
    }

    /// Gives it what a batch brings.
    #[must_use]
    pub fn take(&mut self, delivery: &Delivery) -> Step {
        self.untold += delivery.lost;
        let mut step = Step::default();
        for piece in &delivery.pieces {
            let bytes = piece.text.len() as u64;
            self.is_behind |= self.unread() + bytes > self.window();
            if self.is_behind {
                self.untold.slow_viewer += piece.records;
            } else {
                step.messages.push(self.message(&piece.text));
            }
        }
        if self.is_behind && !self.acknowledges {
            step.close = Some(Close::Unacknowledged);
        }
        // Told behind the lines when nothing came after what was lost.
        if self.untold.records() > 0 && (!self.is_behind || step.close.is_some()) {
            step.messages.push(self.message(""));
        }
        step
    }

    /// Hears a message of the viewer's. Whatever is no acknowledgement of something that was sent changes nothing.
    #[must_use]
    pub fn hear(&mut self, message: &str) -> Step {
        let mut step = Step::default();
        let Ok(Ack { ack }) = serde_json::from_str(message) else {
            return step;
        };
        if self.acknowledges && (self.acknowledged..=self.sent).contains(&ack) {
            self.acknowledged = ack;
            self.is_behind &= self.unread() > self.window() / 2;
            if self.untold.records() > 0 && !self.is_behind {
                step.messages.push(self.message(""));
            }
        }
        step
    }

    fn unread(&self) -> u64 {
        self.sent.saturating_sub(self.acknowledged)
    }

    fn window(&self) -> u64 {
        if self.acknowledges {
            TAIL_WINDOW_BYTES
        } else {
            TAIL_PLAIN_BYTES
        }
    }

    /// A message with these lines, behind what the viewer has not been told of.
    fn message(&mut self, lines: &str) -> String {
        let mut message = String::with_capacity(lines.len() + 128);
        let untold = std::mem::take(&mut self.untold);
        if untold.records() > 0 {
            message.push_str(&untold.notice());
        }
        message.push_str(lines);
        self.sent += message.len() as u64;
        if self.acknowledges {
            message.push_str(&format!("[\"mark\",{{\"bytes\":{}}}]\n", self.sent));
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize, length: usize) -> Vec<u8> {
        let one = format!("{{\"A\":\"{}\"}}\n", "x".repeat(length - 9));
        assert_eq!(one.len(), length);
        one.repeat(count).into_bytes()
    }

    fn delivery(count: usize, length: usize, lost: Lost) -> Delivery {
        Delivery::new(&lines(count, length), lost, &mut Rate::new(0), 0)
    }

    /// Records, records that were lost, and the last mark.
    fn read(messages: &[String]) -> (u64, u64, Option<u64>) {
        let (mut records, mut lost, mut mark) = (0, 0, None);
        for line in messages.iter().flat_map(|message| message.lines()) {
            match serde_json::from_str::<serde_json::Value>(line).unwrap() {
                serde_json::Value::Object(_) => records += 1,
                notice if notice[0] == "lost" => lost += notice[1]["records"].as_u64().unwrap(),
                notice if notice[0] == "mark" => mark = notice[1]["bytes"].as_u64(),
                other => panic!("{other}"),
            }
        }
        (records, lost, mark)
    }

    #[test]
    fn a_plain_viewer_gets_lines_and_nothing_else_as_long_as_nothing_is_lost() {
        let mut viewer = Viewer::new(false);
        let step = viewer.take(&Delivery::new(
            b"{\"A\":1}\n{\"A\":\"\xc3\xbc\"}\n",
            Lost::default(),
            &mut Rate::new(0),
            0,
        ));
        assert_eq!(step.messages, ["{\"A\":1}\n{\"A\":\"ü\"}\n"]);
        assert_eq!(viewer.hear("{\"ack\":5}"), Step::default());
        assert_eq!(
            viewer.take(&delivery(0, 10, Lost::default())),
            Step::default()
        );
    }

    #[test]
    fn what_was_lost_is_told_before_what_comes_after_it_or_alone() {
        let mut viewer = Viewer::new(true);
        let lost = Lost {
            batch_limit: 3,
            hand_over: 4,
            ..Lost::default()
        };
        let step = viewer.take(&Delivery::new(b"{}\n", lost, &mut Rate::new(0), 0));
        let notice = "[\"lost\",{\"records\":7,\"batch_limit\":3,\"hand_over\":4}]\n";
        assert_eq!(
            step.messages,
            [format!(
                "{notice}{{}}\n[\"mark\",{{\"bytes\":{}}}]\n",
                notice.len() + 3
            )]
        );
        let step = viewer.take(&delivery(
            0,
            10,
            Lost {
                rate_limit: 1,
                ..Lost::default()
            },
        ));
        assert_eq!(read(&step.messages), (0, 1, Some(94)));
    }

    #[test]
    fn a_viewer_that_stalls_loses_what_does_not_fit_the_window_and_is_told_the_exact_number() {
        let mut viewer = Viewer::new(true);
        let (mut got, mut sent) = (Vec::new(), 0);
        for _ in 0..20 {
            sent += 200;
            let step = viewer.take(&delivery(200, 1_000, Lost::default()));
            assert_eq!(step.close, None);
            got.extend(step.messages);
        }
        let (records, lost, mark) = read(&got);
        assert_eq!(lost, 0);
        assert!(records < sent);
        let in_flight: usize = got.iter().map(String::len).sum();
        assert!(in_flight as u64 <= TAIL_WINDOW_BYTES + 100 * got.len() as u64);
        // It survives what takes the object out of memory.
        let stored = serde_json::to_string(&viewer).unwrap();
        let mut viewer: Viewer = serde_json::from_str(&stored).unwrap();
        let ack = |viewer: &mut Viewer, mark: Option<u64>| {
            viewer.hear(&format!("{{\"ack\":{}}}", mark.unwrap()))
        };
        let told = ack(&mut viewer, mark).messages;
        let (none, lost, mark) = read(&told);
        assert_eq!((none, lost), (0, sent - records));
        assert!(told[0].contains("\"slow_viewer\""));
        assert_eq!(ack(&mut viewer, mark), Step::default());
        assert_eq!(
            read(&viewer.take(&delivery(5, 100, Lost::default())).messages).0,
            5
        );
    }

    #[test]
    fn what_is_no_acknowledgement_of_something_sent_changes_nothing() {
        let mut viewer = Viewer::new(true);
        let _ = viewer.take(&delivery(10, 100, Lost::default()));
        let before = viewer.clone();
        for message in [
            "",
            "ack",
            "{}",
            "[]",
            "{\"ack\":-1}",
            "{\"ack\":1001}",
            "{\"ack\":\"5\"}",
            "{\"ack\":18446744073709551616}",
        ] {
            assert_eq!(viewer.hear(message), Step::default(), "{message}");
            assert_eq!(viewer, before, "{message}");
        }
        let _ = viewer.hear("{\"ack\":1000}");
        let after = viewer.clone();
        let _ = viewer.hear("{\"ack\":999}");
        assert_eq!(viewer, after);
    }

    #[test]
    fn a_viewer_that_acknowledges_nothing_is_told_the_number_and_closed_before_it_holds_too_much() {
        let mut viewer = Viewer::new(false);
        let (mut got, mut sent, mut rounds) = (Vec::new(), 0, 0);
        let close = loop {
            rounds += 1;
            sent += 200;
            let step = viewer.take(&delivery(200, 1_000, Lost::default()));
            got.extend(step.messages);
            if step.close.is_some() {
                break step.close;
            }
        };
        assert_eq!(close, Some(Close::Unacknowledged));
        assert_eq!(rounds, 8 * 1024 * 1024 / 200_000 + 1);
        let (records, lost, mark) = read(&got);
        assert_eq!((records + lost, mark), (sent, None));
    }

    #[test]
    fn a_session_shows_so_much_in_a_second_and_counts_the_rest() {
        let mut rate = Rate::new(0);
        let mut shown = |count: usize, now| {
            let delivery = Delivery::new(&lines(count, 10), Lost::default(), &mut rate, now);
            (
                delivery
                    .pieces
                    .iter()
                    .map(|piece| piece.records)
                    .sum::<u64>(),
                delivery.lost.rate_limit,
            )
        };
        assert_eq!(shown(6_000, 0), (5_000, 1_000));
        assert_eq!(shown(10, 0), (0, 10));
        assert_eq!(shown(6_000, 500), (2_500, 3_500));
        // A clock that goes back gives nothing, and an hour no more than a second.
        assert_eq!(shown(10, 0), (0, 10));
        assert_eq!(shown(6_000, 3_600_000), (5_000, 1_000));
        let mut rate = Rate::new(0);
        let delivery = Delivery::new(&lines(5, 1 << 20), Lost::default(), &mut rate, 0);
        assert_eq!((delivery.pieces.len(), delivery.lost.rate_limit), (4, 1));
    }

    #[test]
    fn messages_are_whole_lines_up_to_a_size() {
        let delivery = delivery(200, 1_000, Lost::default());
        let sizes: Vec<_> = delivery
            .pieces
            .iter()
            .map(|piece| (piece.records, piece.text.len()))
            .collect();
        assert_eq!(
            sizes,
            [(65, 65_000), (65, 65_000), (65, 65_000), (5, 5_000)]
        );
        assert!(
            delivery
                .pieces
                .iter()
                .all(|piece| piece.text.ends_with("}\n"))
        );
    }

    #[test]
    fn the_stored_form_of_a_viewer_has_not_changed_and_reasons_fit_a_close_frame() {
        let stored = r#"{"acknowledges":true,"sent":0,"acknowledged":0,"is_behind":false,"untold":{"batch_limit":0,"hand_over":0,"rate_limit":0,"slow_viewer":0}}"#;
        assert_eq!(serde_json::to_string(&Viewer::new(true)).unwrap(), stored);
        for close in [Close::Ended, Close::TimeIsUp, Close::Unacknowledged] {
            assert!(close.reason().len() <= 123);
        }
    }
}
