//! Back through the steps of a solve with a fixed number of its states in memory.

use std::ops::Range;

/// Visits the steps `count − 1, …, 1, 0`, each with the state where it starts, and never holds more than `held` states besides those
/// at the two ends of one step; `advance` takes a step and has to give the same state every time.
///
/// Which states are held is binomial checkpointing (Griewank and Walther 2000): `held` states reach back over `C(held + r, held)` steps
/// with none taken more than `r` times, and all in all `r · count − C(held + r, held + 1)` steps are taken, the fewest possible. With
/// 16 states that is one for each visit up to 17 steps, fewer than two up to 153, fewer than three up to 969.
///
/// # Errors
/// The first that `visit` meets.
///
/// # Panics
/// If `held` is 0.
pub fn backwards<S: Clone, E>(
    count: usize,
    held: usize,
    start: &S,
    advance: &mut impl FnMut(usize, &S) -> S,
    visit: &mut impl FnMut(usize, &S) -> Result<(), E>,
) -> Result<(), E> {
    assert!(held > 0, "the start is held");
    if count == 0 {
        return Ok(());
    }
    part(0..count, held, start, advance, visit)
}

/// The same of some steps; `held` states count the start.
fn part<S: Clone, E>(
    Range { start: first, end }: Range<usize>,
    held: usize,
    start: &S,
    advance: &mut impl FnMut(usize, &S) -> S,
    visit: &mut impl FnMut(usize, &S) -> Result<(), E>,
) -> Result<(), E> {
    let mut end = end;
    while end - first > 1 {
        let middle = first + split(end - first, held);
        let next = advance(first, start);
        let state = (first + 1..middle).fold(next, |state, step| advance(step, &state));
        part(middle..end, held - 1, &state, advance, visit)?;
        end = middle;
    }
    visit(first, start)
}

/// After how many of `length` steps the next state is held, one of `held` states being at their start: where the steps after it can be
/// visited with one state less in as few sweeps, and those before it in one or two sweeps less.
fn split(length: usize, held: usize) -> usize {
    // One sweep more reaches at least one step further.
    let sweeps = (0..=length).find(|&sweeps| reach(held, sweeps) >= length);
    let sweeps = sweeps.expect("every length is reached");
    let before = sweeps.checked_sub(2).map_or(0, |less| reach(held, less));
    let after = reach(held - 1, sweeps);
    before.max(length.saturating_sub(after)).max(1)
}

/// `C(held + sweeps, held)`: over how many steps `held` states reach back if none is taken more than `sweeps` times.
fn reach(held: usize, sweeps: usize) -> usize {
    (1..=sweeps).fold(1_usize, |reach, sweep| {
        reach.saturating_mul(held + sweep) / sweep
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::collections::HashMap;
    use std::convert::Infallible;
    use std::rc::Rc;

    /// A state that knows how many of its kind there are, and how many there were at most.
    struct Counted {
        place: usize,
        counts: Rc<[Cell<usize>; 2]>,
    }

    impl Counted {
        fn new(place: usize, counts: Rc<[Cell<usize>; 2]>) -> Self {
            let [now, most] = &*counts;
            now.set(now.get() + 1);
            most.set(most.get().max(now.get()));
            Self { place, counts }
        }
    }

    impl Clone for Counted {
        fn clone(&self) -> Self {
            Self::new(self.place, self.counts.clone())
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            let [now, _] = &*self.counts;
            now.set(now.get() - 1);
        }
    }

    /// What a reversal of so many steps takes: steps taken, and states at a time at most.
    fn reversed(count: usize, held: usize) -> [usize; 2] {
        let counts = Rc::new([Cell::new(0), Cell::new(0)]);
        let start = Counted::new(0, counts.clone());
        let (mut taken, mut left) = (0, count);
        let mut advance = |step: usize, state: &Counted| {
            assert_eq!(step, state.place, "a step is taken from where it starts");
            taken += 1;
            Counted::new(step + 1, state.counts.clone())
        };
        let mut visit = |step: usize, state: &Counted| {
            left -= 1;
            assert_eq!([step, state.place], [left, left]);
            Ok::<_, Infallible>(())
        };
        let Ok(()) = backwards(count, held, &start, &mut advance, &mut visit);
        assert_eq!(left, 0);
        let [_, most] = &*counts;
        [taken, most.get()]
    }

    #[test]
    fn every_step_is_visited_from_the_last_to_the_first_with_the_states_that_may_be_held() {
        for held in [1, 2, 3, 16] {
            for count in (0..200).chain([1000]) {
                let [_, most] = reversed(count, held);
                assert!(most <= held + 2, "{count} steps: {most} states at a time");
            }
        }
    }

    /// The fewest steps that have to be taken, by trying every place for the next state.
    fn fewest(length: usize, held: usize, known: &mut HashMap<[usize; 2], usize>) -> usize {
        if length <= 1 {
            return 0;
        }
        if held == 0 {
            return usize::MAX / 4;
        }
        if let Some(&found) = known.get(&[length, held]) {
            return found;
        }
        let places = 1..length;
        let all = places.map(|place| {
            place + fewest(length - place, held - 1, known) + fewest(place, held, known)
        });
        let found = all.min().unwrap_or(0);
        known.insert([length, held], found);
        found
    }

    #[test]
    fn no_more_steps_are_taken_than_have_to_be() {
        let mut known = HashMap::new();
        for held in [1, 2, 3, 5, 16] {
            for count in 0..120 {
                let [taken, _] = reversed(count, held);
                assert_eq!(taken, fewest(count, held, &mut known), "{count} {held}");
            }
        }
        // r · count − C(held + r, held + 1).
        for (count, sweeps) in [(17, 1), (64, 2), (153, 2), (500, 3), (969, 3)] {
            let [taken, _] = reversed(count, 16);
            assert_eq!(taken, sweeps * count - reach(17, sweeps - 1));
        }
    }

    #[test]
    fn an_error_ends_it() {
        let mut visited = 0;
        let mut visit = |step: usize, _: &usize| {
            visited += 1;
            if step == 5 { Err(step) } else { Ok(()) }
        };
        let found = backwards(8, 2, &0, &mut |step, _| step + 1, &mut visit);
        assert_eq!((found, visited), (Err(5), 3));
    }
}
