//! A search of all states that a model can come into, nearest first, so that what it finds wrong is told by
//! one of the shortest ways there.
//!
//! It is our own, since it takes a page: the crates that do this bring a web server to look at states with.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug, Write as _};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem::{Discriminant, discriminant};

/// Something that goes from state to state.
pub trait Model {
    /// Everything that matters for what can happen next.
    type State: Copy + Eq + Hash + Debug;
    /// One step that nothing can come in between.
    type Action: Copy + Debug;

    /// Where it begins.
    fn start(&self) -> Self::State;
    /// What can happen in a state.
    fn actions(&self, state: &Self::State) -> Vec<Self::Action>;
    /// What it leads to.
    fn after(&self, state: &Self::State, action: Self::Action) -> Self::State;
    /// What must never be so and is.
    fn wrong(&self, state: &Self::State) -> Option<&'static str>;
    /// What must not be so where nothing can happen any more, and is.
    fn undone(&self, state: &Self::State) -> Option<&'static str>;
}

/// What a search has seen.
#[derive(Default)]
pub struct Seen {
    pub states: usize,
    pub steps: usize,
    /// States in which nothing can happen any more.
    pub ends: usize,
    /// How often each kind of action was taken, by its name.
    pub taken: BTreeMap<String, usize>,
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} states, {} steps, {} ends", self.states, self.steps, self.ends)
    }
}

/// What is wrong, and the actions that lead there.
pub struct Found {
    pub words: &'static str,
    pub way: String,
}

/// Goes through every state. Everything ends: a model that can go round in a circle is refused, so that what
/// `undone` does not find in the states at the end is done in the end, whatever happens.
pub fn all<M: Model>(model: &M) -> (Seen, Option<Found>) {
    let mut search = Search::new(model);
    let mut at = 0;
    let mut found = None;
    while found.is_none() && at < search.states.len() {
        found = search.look(at);
        at += 1;
    }
    if found.is_none() {
        search.assert_no_circles();
    }
    search.seen.taken = search.taken.values().map(|(action, times)| (kind_of(action), *times)).collect();
    (search.seen, found)
}

/// A hash that costs little: nobody chooses states to make it slow.
#[derive(Default)]
struct Quick(u64);

impl Quick {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.add(u64::from(*byte));
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.add(u64::from(byte));
    }

    fn write_isize(&mut self, number: isize) {
        self.add(number.cast_unsigned() as u64);
    }

    fn write_usize(&mut self, number: usize) {
        self.add(number as u64);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

struct Search<'a, M: Model> {
    model: &'a M,
    states: Vec<M::State>,
    numbers: HashMap<M::State, usize, BuildHasherDefault<Quick>>,
    /// How each state was reached first.
    from: Vec<Option<(usize, M::Action)>>,
    edges: Vec<(usize, usize)>,
    /// One of each kind of action, and how often it was taken.
    taken: HashMap<Discriminant<M::Action>, (M::Action, usize)>,
    seen: Seen,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(model: &'a M) -> Self {
        let start = model.start();
        Self {
            model,
            states: vec![start],
            numbers: [(start, 0)].into_iter().collect(),
            from: vec![None],
            edges: Vec::new(),
            taken: HashMap::new(),
            seen: Seen::default(),
        }
    }

    /// Judges a state and finds those behind it.
    fn look(&mut self, at: usize) -> Option<Found> {
        let state = self.states[at];
        self.seen.states += 1;
        if let Some(words) = self.model.wrong(&state) {
            return Some(Found { words, way: self.way_to(at) });
        }
        let actions = self.model.actions(&state);
        if actions.is_empty() {
            self.seen.ends += 1;
            return self.model.undone(&state).map(|words| Found { words, way: self.way_to(at) });
        }
        for action in actions {
            self.seen.steps += 1;
            self.taken.entry(discriminant(&action)).or_insert((action, 0)).1 += 1;
            let next = self.model.after(&state, action);
            let fresh = self.states.len();
            let number = *self.numbers.entry(next).or_insert(fresh);
            if number == fresh {
                self.states.push(next);
                self.from.push(Some((at, action)));
            }
            self.edges.push((at, number));
        }
        None
    }

    fn way_to(&self, mut at: usize) -> String {
        let mut actions = Vec::new();
        let last = self.states[at];
        while let Some((before, action)) = self.from[at] {
            actions.push(action);
            at = before;
        }
        let mut way = String::new();
        for action in actions.iter().rev() {
            writeln!(way, "  {action:?}").expect("a string takes all");
        }
        writeln!(way, "  leads to {last:?}").expect("a string takes all");
        way
    }

    /// Takes away states that nothing leads to, again and again: what is left goes round in a circle.
    fn assert_no_circles(&self) {
        let mut leading = vec![0_usize; self.states.len()];
        let mut behind = vec![Vec::new(); self.states.len()];
        for &(before, after) in &self.edges {
            leading[after] += 1;
            behind[before].push(after);
        }
        let mut free: Vec<usize> = (0..leading.len()).filter(|&state| leading[state] == 0).collect();
        let mut taken = 0;
        while let Some(state) = free.pop() {
            taken += 1;
            for &after in &behind[state] {
                leading[after] -= 1;
                if leading[after] == 0 {
                    free.push(after);
                }
            }
        }
        assert_eq!(taken, self.states.len(), "the others go round in a circle: nothing need ever end");
    }
}

/// The action's name without what it acts on.
fn kind_of(action: impl Debug) -> String {
    let shown = format!("{action:?}");
    shown.split('(').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts up by one or two, to `end`; from `end` it may go back to `back`.
    struct Counter {
        end: u8,
        back: Option<u8>,
        wrong: u8,
    }

    impl Model for Counter {
        type State = u8;
        type Action = u8;

        fn start(&self) -> u8 {
            0
        }

        fn actions(&self, state: &u8) -> Vec<u8> {
            if *state == self.end {
                return self.back.into_iter().collect();
            }
            [state + 1, state + 2].into_iter().filter(|next| *next <= self.end).collect()
        }

        fn after(&self, _: &u8, action: u8) -> u8 {
            action
        }

        fn wrong(&self, state: &u8) -> Option<&'static str> {
            (*state == self.wrong).then_some("wrong")
        }

        fn undone(&self, state: &u8) -> Option<&'static str> {
            (*state % 2 == 1).then_some("undone")
        }
    }

    #[test]
    fn every_state_is_seen_once() {
        let (seen, found) = all(&Counter { end: 10, back: None, wrong: 11 });
        assert!(found.is_none());
        assert_eq!((seen.states, seen.steps, seen.ends), (11, 19, 1));
    }

    #[test]
    fn the_way_to_what_is_wrong_is_the_shortest() {
        let found = all(&Counter { end: 10, back: None, wrong: 4 }).1.expect("it is wrong");
        assert_eq!((found.words, found.way.as_str()), ("wrong", "  2\n  4\n  leads to 4\n"));
        let found = all(&Counter { end: 9, back: None, wrong: 11 }).1.expect("it ends wrong");
        assert_eq!(found.words, "undone");
    }

    #[test]
    #[should_panic(expected = "circle")]
    fn what_never_ends_is_refused() {
        all(&Counter { end: 10, back: Some(4), wrong: 11 });
    }
}
