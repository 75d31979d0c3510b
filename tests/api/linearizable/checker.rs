//! Whether there is one order in which all clients could have been answered as they were (Wing and Gong,
//! "Testing and Verifying Concurrent Objects"): an order in which no operation comes before one that had
//! ended when it began, and in which the model gives each the answer it got.

use std::collections::HashSet;
use std::time::Duration;

use super::model::{Operation, Outcome, State};

/// One operation of one client, with the times at which it was asked for and answered.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub client: usize,
    pub operation: Operation,
    pub outcome: Outcome,
    pub asked: Duration,
    pub answered: Duration,
}

/// The operations that have their place already, as bits, and what they made.
type Visited = HashSet<(u64, State)>;

/// The events in an order that explains them; none if there is no such order.
pub fn order(history: &[Event]) -> Option<Vec<Event>> {
    assert!(history.len() <= 64, "a bit for each event");
    let mut sequence = Vec::new();
    let found = extend(history, 0, State::default(), &mut sequence, &mut Visited::new());
    found.then(|| sequence.into_iter().map(|place| history[place]).collect())
}

/// Puts one event after another behind `sequence`, and takes back what leads nowhere. A set of events that
/// led nowhere from a state leads nowhere again, in whichever order it was placed.
fn extend(
    history: &[Event],
    placed: u64,
    state: State,
    sequence: &mut Vec<usize>,
    visited: &mut Visited,
) -> bool {
    if sequence.len() == history.len() {
        return true;
    }
    if !visited.insert((placed, state)) {
        return false;
    }
    let waiting = |place: &usize| placed & (1 << place) == 0;
    let first_answer = (0..history.len()).filter(waiting).map(|place| history[place].answered).min();
    let first_answer = first_answer.expect("an event is left");
    for place in (0..history.len()).filter(waiting) {
        let event = &history[place];
        // Whatever was answered before this was asked for comes first.
        if event.asked > first_answer {
            continue;
        }
        let (next, outcome) = state.after(event.operation);
        if outcome != event.outcome {
            continue;
        }
        sequence.push(place);
        if extend(history, placed | 1 << place, next, sequence, visited) {
            return true;
        }
        sequence.pop();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linearizable::model::Condition;

    /// An event of a client of its own.
    fn event(asked: u64, answered: u64, operation: Operation, outcome: Outcome) -> Event {
        let (asked, answered) = (Duration::from_micros(asked), Duration::from_micros(answered));
        Event { client: 0, operation, outcome, asked, answered }
    }

    fn put(tag: usize, manifest: usize) -> Operation {
        Operation::PutTag { tag, manifest, condition: Condition::Always }
    }

    fn read(tag: usize) -> Operation {
        Operation::ReadTag { tag, head: false }
    }

    fn delete(manifest: usize) -> Operation {
        Operation::DeleteDigest { manifest }
    }

    #[test]
    fn one_after_another_is_in_order() {
        let history = [
            event(0, 1, read(0), Outcome::Missing),
            event(2, 3, put(0, 1), Outcome::Created),
            event(4, 5, read(0), Outcome::Found(1)),
            event(6, 7, Operation::ListTags, Outcome::Listed([true, false, false])),
            event(8, 9, delete(1), Outcome::Deleted),
            event(10, 11, read(0), Outcome::Missing),
            event(12, 13, Operation::ListTags, Outcome::Missing),
        ];
        let found = order(&history).expect("an order");
        assert!(found.windows(2).all(|pair| pair[0].asked < pair[1].asked));
    }

    #[test]
    fn what_overlaps_may_come_either_way() {
        for seen in [Outcome::Missing, Outcome::Found(1)] {
            assert!(order(&[event(0, 9, put(0, 1), Outcome::Created), event(1, 2, read(0), seen)]).is_some());
        }
        let both = [
            event(0, 9, put(0, 1), Outcome::Created),
            event(0, 9, put(0, 2), Outcome::Created),
            event(1, 2, read(0), Outcome::Found(2)),
            event(3, 4, read(0), Outcome::Found(1)),
        ];
        assert!(order(&both).is_some());
    }

    #[test]
    fn a_stale_answer_is_rejected() {
        let put = event(0, 1, put(0, 1), Outcome::Created);
        assert!(order(&[put, event(2, 3, read(0), Outcome::Missing)]).is_none());
        assert!(order(&[put, event(2, 3, Operation::ListTags, Outcome::Listed([false; 3]))]).is_none());
        let deleted = [put, event(2, 3, delete(1), Outcome::Deleted)];
        for (operation, outcome) in [
            (read(0), Outcome::Found(1)),
            (Operation::ReadDigest { manifest: 1, head: true }, Outcome::Found(1)),
            (Operation::DeleteTag { tag: 0 }, Outcome::Deleted),
            (Operation::ListTags, Outcome::Listed([true, false, false])),
        ] {
            assert!(order(&[deleted[0], deleted[1], event(4, 5, operation, outcome)]).is_none());
        }
    }

    #[test]
    fn two_readers_see_one_order() {
        let writes = [event(0, 9, put(0, 1), Outcome::Created), event(0, 9, put(0, 2), Outcome::Created)];
        let there_and_back = [
            event(1, 2, read(0), Outcome::Found(1)),
            event(3, 4, read(0), Outcome::Found(2)),
            event(5, 6, read(0), Outcome::Found(1)),
        ];
        assert!(order(&[writes.as_slice(), &there_and_back].concat()).is_none());
    }

    #[test]
    fn half_of_a_delete_is_rejected() {
        let history = [
            event(0, 1, put(0, 1), Outcome::Created),
            event(2, 3, put(1, 1), Outcome::Created),
            event(4, 9, delete(1), Outcome::Deleted),
            // One of the two tags of a manifest that goes.
            event(5, 6, read(0), Outcome::Missing),
            event(7, 8, read(1), Outcome::Found(1)),
        ];
        assert!(order(&history[..4]).is_some());
        assert!(order(&history).is_none());
        let torn = event(5, 6, Operation::ListTags, Outcome::Listed([true, false, false]));
        assert!(order(&[history[0], history[1], history[2], torn]).is_none());
    }

    #[test]
    fn one_thing_is_deleted_once() {
        let delete = Operation::DeleteTag { tag: 0 };
        let history = [
            event(0, 1, put(0, 1), Outcome::Created),
            event(2, 9, delete, Outcome::Deleted),
            event(2, 9, delete, Outcome::Missing),
        ];
        assert!(order(&history).is_some());
        assert!(order(&[history[0], history[1], history[1]]).is_none());
    }

    #[test]
    fn of_two_first_writers_one_is_refused() {
        let first = |manifest| Operation::PutTag { tag: 0, manifest, condition: Condition::Absent };
        let (one, two) = (event(0, 9, first(1), Outcome::Created), event(0, 9, first(2), Outcome::Created));
        assert!(order(&[one, two]).is_none());
        assert!(order(&[one, event(0, 9, first(2), Outcome::Refused)]).is_some());
        let swap = |from, to| Operation::PutTag { tag: 0, manifest: to, condition: Condition::Names(from) };
        let lost =
            [one, event(10, 19, swap(1, 2), Outcome::Created), event(10, 19, swap(1, 0), Outcome::Created)];
        assert!(order(&lost[..2]).is_some());
        assert!(order(&lost).is_none());
    }
}
