//! Running a plan over records: one pass over the members of a line, one over the fields that came, one over the slots.

use super::convert::{self, As, Made, clean};
use super::plan::{Condition, Constant, Field, Plan, REST, Target};
use super::surprise::Surprises;
use crate::batch::json;
use crate::logpush::catalogue::Dataset;
use std::collections::HashMap;
use std::ops::Range;

/// Fields without a name in the plan that are compared one by one; beyond, they are looked up.
const COMPARED_MAX: usize = 16;

/// Turns records of one dataset into events.
#[derive(Debug)]
pub struct Normaliser {
    plan: Plan,
    /// Objects under `cloudflare.` are written as strings.
    stringifies: bool,
}

/// What a [`Normaliser`] needs while it runs; kept from record to record so that nothing is allocated for one.
#[derive(Debug, Default)]
pub struct Scratch {
    /// Where the values of known fields lie in the line.
    values: Vec<Range<usize>>,
    /// Known fields that have a value.
    present: Bits,
    /// Known fields that stay under `cloudflare.`, by their rank in [`Plan::rest_order`].
    rest: Bits,
    /// Known fields that have found a home.
    at_home: Bits,
    /// By slot; what is not taken is not looked at.
    homes: Vec<Home>,
    /// Slots that have a value.
    taken: Bits,
    /// What conversions wrote.
    made: Vec<u8>,
    others: Others,
    /// Indices of the objects that are open.
    open: Vec<usize>,
}

/// Where the JSON of a slot lies.
#[derive(Debug, Clone)]
enum Home {
    Line(Range<usize>),
    Made(Range<usize>),
    /// In the plan.
    Constant(Source),
}

/// Whose constant it is.
#[derive(Debug, Clone, Copy)]
enum Source {
    Set(usize),
    When(usize, usize),
}

impl Normaliser {
    /// For a dataset; `field_names` are the fields that are taken, all if there are none.
    #[must_use]
    pub fn compile(
        dataset: &str,
        schema: Option<&Dataset>,
        field_names: &[String],
        stringifies: bool,
    ) -> Self {
        Self {
            plan: Plan::compile(dataset, schema, field_names),
            stringifies,
        }
    }

    /// Appends the members of the event, without the braces around them. `line` is a JSON object.
    pub fn write(
        &self,
        line: &[u8],
        scratch: &mut Scratch,
        surprises: &mut Surprises,
        out: &mut Vec<u8>,
    ) {
        let plan = &self.plan;
        scratch.begin(plan);
        surprises.unknown_dataset += u64::from(plan.is_unknown);
        scratch.read(plan, line);
        let mut run = Run {
            plan,
            line,
            scratch,
            surprises,
        };
        run.fields();
        run.weak();
        run.durations();
        run.whens();
        for (index, (slot, _)) in plan.set.iter().enumerate() {
            run.set(*slot, Source::Set(index));
        }
        run.settle();
        run.write(out, self.stringifies);
    }
}

impl Scratch {
    fn begin(&mut self, plan: &Plan) {
        let (fields, slots) = (plan.fields.len(), plan.slots.len());
        // What is not present is not looked at.
        self.values.resize(fields, 0..0);
        self.present.clear(fields);
        self.rest.clear(fields);
        self.at_home.clear(fields);
        self.homes.resize(slots, Home::Line(0..0));
        self.taken.clear(slots);
        self.made.clear();
        self.others.clear();
    }

    /// Finds the members.
    fn read(&mut self, plan: &Plan, line: &[u8]) {
        for (key, value) in json::members(line) {
            let name = match key {
                [b'"', name @ .., b'"'] if !plan.has_escaped_names => plan.names.find(name),
                _ => None,
            };
            let name = match name {
                None if key.contains(&b'\\') || plan.has_escaped_names => {
                    json::text(key).and_then(|name| plan.names.find(&name))
                }
                name => name,
            };
            let is_empty = clean::is_empty(value);
            match name {
                Some(field) => {
                    // Of two equal names the last one counts, also if it has no value.
                    let is_wanted = plan.fields.get(field).is_some_and(|field| field.is_wanted);
                    self.present.set(field, is_wanted && !is_empty);
                    if let Some(range) = self.values.get_mut(field) {
                        *range = place(line, value);
                    }
                }
                None if plan.is_open => {
                    self.others
                        .take(line, place(line, key), place(line, value), is_empty);
                }
                None => {}
            }
        }
    }
}

/// Where a part of the line lies.
fn place(line: &[u8], part: &[u8]) -> Range<usize> {
    let from = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    from..from + part.len()
}

/// What one output did.
enum Outcome {
    /// The value is there, or says that there is nothing.
    AtHome,
    /// There was nothing to put there.
    Nothing,
    /// It has to stay under `cloudflare.` as well.
    Stays,
}

struct Run<'r> {
    plan: &'r Plan,
    line: &'r [u8],
    scratch: &'r mut Scratch,
    surprises: &'r mut Surprises,
}

impl<'r> Run<'r> {
    /// The value of a field that is present.
    fn value(&self, field: usize) -> Option<&'r [u8]> {
        let line = self.line;
        if !self.scratch.present.get(field) {
            return None;
        }
        self.scratch
            .values
            .get(field)
            .and_then(|range| line.get(range.clone()))
    }

    fn fields(&mut self) {
        let plan = self.plan;
        for word in 0..self.scratch.present.0.len() {
            let mut left = self.scratch.present.word(word);
            while let Some(index) = next_bit(&mut left, word) {
                let Some(field) = plan.fields.get(index) else {
                    continue;
                };
                if !field.targets.is_empty()
                    && let Some(raw) = self.value(index)
                    && self.targets(index, field, raw)
                {
                    self.stays(index);
                }
            }
        }
    }

    /// A field stays under `cloudflare.`.
    fn stays(&mut self, index: usize) {
        if let Some(field) = self.plan.fields.get(index) {
            self.scratch.rest.set(field.rank, true);
        }
    }

    /// Runs the outputs of a field that do not give way. True when the field has to stay.
    fn targets(&mut self, index: usize, field: &Field, raw: &'r [u8]) -> bool {
        let mut stays = field.is_kept;
        let mut is_unfit = None;
        for target in &field.targets {
            match self.output(target, raw, &mut is_unfit) {
                Outcome::AtHome => self.scratch.at_home.set(index, true),
                Outcome::Nothing => {}
                Outcome::Stays => stays = true,
            }
        }
        self.surprised(is_unfit);
        stays
    }

    fn weak(&mut self) {
        let plan = self.plan;
        for (index, target) in &plan.weak {
            let Some(raw) = self.value(*index) else {
                continue;
            };
            let is_taken = target.slot.is_some_and(|slot| self.scratch.taken.get(slot));
            let mut is_unfit = None;
            match self.output(target, raw, &mut is_unfit) {
                Outcome::AtHome => self.scratch.at_home.set(*index, true),
                Outcome::Nothing => {}
                // Giving way to another value too: another output of this field may be at home, and this part would be lost.
                Outcome::Stays => self.stays(*index),
            }
            if !is_taken {
                self.surprised(is_unfit);
            }
        }
    }

    /// A field counts once, however many of its outputs it does not fit.
    fn surprised(&mut self, unfit: Option<As>) {
        match unfit {
            None => {}
            Some(As::Time) => self.surprises.unreadable_time += 1,
            Some(_) => self.surprises.unexpected_value += 1,
        }
    }

    fn output(&mut self, target: &Target, whole: &'r [u8], unfit: &mut Option<As>) -> Outcome {
        let raw = if target.at.is_empty() {
            whole
        } else {
            match convert::at(whole, &target.at) {
                Some(raw) => raw,
                None => return Outcome::Nothing,
            }
        };
        let from = self.scratch.made.len();
        let made = match mapped(target, raw) {
            Some(None) => Made::LeftOut,
            Some(Some(Constant(text))) => {
                self.scratch.made.extend_from_slice(text);
                Made::Written
            }
            None => target.conversion.convert(raw, &mut self.scratch.made),
        };
        let home = match made {
            Made::AsItIs => Home::Line(place(self.line, raw)),
            Made::Written => Home::Made(from..self.scratch.made.len()),
            Made::LeftOut => return Outcome::AtHome,
            Made::Nothing => return Outcome::Nothing,
            Made::Stays => return Outcome::Stays,
            Made::Unfit => {
                *unfit = Some(target.conversion);
                return Outcome::Stays;
            }
        };
        let Some(slot) = target.slot else {
            return Outcome::Stays;
        };
        if self.offer(slot, home) {
            Outcome::AtHome
        } else {
            Outcome::Stays
        }
    }

    /// Puts a value into its slot. False when another value is there.
    fn offer(&mut self, slot: usize, home: Home) -> bool {
        if self.scratch.taken.get(slot) {
            let known = self.scratch.homes.get(slot);
            return known.is_some_and(|known| self.text(slot, known) == self.text(slot, &home));
        }
        self.put(slot, home);
        true
    }

    fn put(&mut self, slot: usize, home: Home) {
        if let Some(place) = self.scratch.homes.get_mut(slot) {
            *place = home;
            self.scratch.taken.set(slot, true);
        }
    }

    /// The JSON of a slot.
    fn text(&self, slot: usize, home: &Home) -> &[u8] {
        let found = match home {
            Home::Line(range) => self.line.get(range.clone()),
            Home::Made(range) => self.scratch.made.get(range.clone()),
            Home::Constant(source) => constant(self.plan, slot, *source),
        };
        found.unwrap_or_default()
    }

    fn set(&mut self, slot: usize, source: Source) {
        if !self.scratch.taken.get(slot) {
            self.put(slot, Home::Constant(source));
        }
    }

    fn durations(&mut self) {
        let plan = self.plan;
        for (slot, from, until) in &plan.durations {
            let instant = |field: &usize| self.value(*field).and_then(convert::instant);
            let (Some(from), Some(until)) = (instant(from), instant(until)) else {
                continue;
            };
            let Ok(nanos) = u64::try_from(until - from) else {
                continue;
            };
            let begin = self.scratch.made.len();
            let text = nanos.to_string();
            self.scratch.made.extend_from_slice(text.as_bytes());
            let end = self.scratch.made.len();
            self.offer(*slot, Home::Made(begin..end));
        }
    }

    fn whens(&mut self) {
        let plan = self.plan;
        for (index, condition) in plan.whens.iter().enumerate() {
            if self.is_met(condition) {
                for (nth, (slot, _)) in condition.set.iter().enumerate() {
                    self.set(*slot, Source::When(index, nth));
                }
            }
        }
    }

    fn is_met(&self, condition: &Condition) -> bool {
        let when = &condition.when;
        let found = self
            .value(condition.field)
            .and_then(|raw| convert::at(raw, &when.at));
        let Some(raw) = found else {
            return false;
        };
        let Some(text) = convert::scalar(raw) else {
            return false;
        };
        let is_one_of = |texts: &[String]| {
            texts
                .iter()
                .any(|known| text.eq_ignore_ascii_case(known.as_bytes()))
        };
        let holds = |word: &String| {
            text.split(|byte| !byte.is_ascii_alphanumeric())
                .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
        };
        (when.is.is_empty() || is_one_of(&when.is))
            && !is_one_of(&when.is_not)
            && (when.words.is_empty() || when.words.iter().any(holds))
            && when
                .at_least
                .is_none_or(|least| convert::integer(raw).is_some_and(|n| n >= least))
    }

    /// Whoever has no home stays.
    fn settle(&mut self) {
        for word in 0..self.scratch.present.0.len() {
            let mut left = self.scratch.present.word(word) & !self.scratch.at_home.word(word);
            while let Some(index) = next_bit(&mut left, word) {
                self.stays(index);
            }
        }
    }

    fn write(&mut self, out: &mut Vec<u8>, stringifies: bool) {
        let plan = self.plan;
        let begin = out.len();
        let separate = |out: &mut Vec<u8>| {
            if out.len() > begin && out.last() != Some(&b'{') {
                out.push(b',');
            }
        };
        let mut open = std::mem::take(&mut self.scratch.open);
        open.clear();
        for index in self.scratch.taken.iter() {
            let (Some(slot), Some(home)) = (plan.slots.get(index), self.scratch.homes.get(index))
            else {
                break;
            };
            let common = open
                .iter()
                .zip(&slot.groups)
                .take_while(|(open, group)| open == group)
                .count();
            out.extend(open.drain(common..).map(|_| b'}'));
            separate(out);
            for group in slot.groups.get(common..).unwrap_or_default() {
                out.extend_from_slice(
                    plan.groups
                        .get(*group)
                        .map(Vec::as_slice)
                        .unwrap_or_default(),
                );
                open.push(*group);
            }
            out.extend_from_slice(&slot.key);
            out.extend_from_slice(self.text(index, home));
        }
        out.extend(open.drain(..).map(|_| b'}'));
        self.scratch.open = open;
        if self.scratch.rest.is_none_set() && self.scratch.others.is_empty() {
            return;
        }
        separate(out);
        out.push(b'"');
        out.extend_from_slice(REST.as_bytes());
        out.extend_from_slice(b"\":{");
        for rank in self.scratch.rest.iter() {
            if let Some(index) = plan.rest_order.get(rank)
                && let Some(field) = plan.fields.get(*index)
                && let Some(raw) = self.value(*index)
            {
                separate(out);
                out.extend_from_slice(&field.key);
                write_rest(raw, stringifies, out);
            }
        }
        for (key, raw) in self.scratch.others.members(self.line) {
            separate(out);
            out.extend_from_slice(key);
            out.push(b':');
            write_rest(raw, stringifies, out);
        }
        out.push(b'}');
    }
}

fn constant(plan: &Plan, slot: usize, source: Source) -> Option<&[u8]> {
    let (known, Constant(text)) = match source {
        Source::Set(index) => plan.set.get(index)?,
        Source::When(index, nth) => plan.whens.get(index)?.set.get(nth)?,
    };
    (*known == slot).then_some(text)
}

/// What the map of an output has for a value.
fn mapped<'p>(target: &'p Target, raw: &[u8]) -> Option<Option<&'p Constant>> {
    if target.map.is_empty() {
        return None;
    }
    let text = convert::scalar(raw)?;
    let known = |(known, _): &&(Vec<u8>, Option<Constant>)| text.eq_ignore_ascii_case(known);
    target
        .map
        .iter()
        .find(known)
        .map(|(_, written)| written.as_ref())
}

/// Writes a value under `cloudflare.`.
fn write_rest(raw: &[u8], stringifies: bool, out: &mut Vec<u8>) {
    match raw.first() {
        Some(b'{' | b'[') => {
            let begin = out.len();
            if clean::clean(raw, out) == Made::AsItIs {
                out.extend_from_slice(raw);
            }
            if stringifies && out.get(begin) == Some(&b'{') {
                let object = out.split_off(begin);
                convert::put_text(&object, out);
            }
        }
        _ => out.extend_from_slice(raw),
    }
}

/// A set of small numbers.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn clear(&mut self, length: usize) {
        self.0.clear();
        self.0.resize(length.div_ceil(64), 0);
    }

    fn get(&self, at: usize) -> bool {
        self.0
            .get(at / 64)
            .is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    fn set(&mut self, at: usize, to: bool) {
        if let Some(word) = self.0.get_mut(at / 64) {
            let bit = 1 << (at % 64);
            *word = if to { *word | bit } else { *word & !bit };
        }
    }

    fn is_none_set(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn word(&self, at: usize) -> u64 {
        self.0.get(at).copied().unwrap_or_default()
    }

    /// Those that are set, in order.
    fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(word, bits)| {
            let mut left = *bits;
            std::iter::from_fn(move || next_bit(&mut left, word))
        })
    }
}

/// Takes the lowest bit of what is left of a word.
#[inline]
fn next_bit(left: &mut u64, word: usize) -> Option<usize> {
    if *left == 0 {
        return None;
    }
    let bit = left.trailing_zeros() as usize;
    *left &= *left - 1;
    Some(word * 64 + bit)
}

/// Fields that nobody knows, in the order in which they came.
#[derive(Debug, Default)]
struct Others {
    members: Vec<(Range<usize>, Range<usize>)>,
    /// Index by name, once there are many: a line may have a million members.
    index: HashMap<Vec<u8>, usize>,
}

impl Others {
    fn clear(&mut self) {
        self.members.clear();
        self.index.clear();
    }

    fn is_empty(&self) -> bool {
        self.members.iter().all(|(_, value)| value.is_empty())
    }

    /// Takes a member; of two equal names the last one counts, also if it has no value.
    fn take(&mut self, line: &[u8], key: Range<usize>, value: Range<usize>, is_empty: bool) {
        let name_of = |key: &Range<usize>| {
            let key = line.get(key.clone()).unwrap_or_default();
            json::text(key).unwrap_or_default()
        };
        let value = if is_empty { 0..0 } else { value };
        let name = name_of(&key);
        let known = if self.members.len() <= COMPARED_MAX {
            let mut members = self.members.iter();
            members.position(|(known, _)| name_of(known) == name)
        } else {
            if self.index.is_empty() {
                let members = self.members.iter().enumerate();
                self.index = members
                    .map(|(at, (known, _))| (name_of(known).into_owned(), at))
                    .collect();
            }
            self.index.get(&*name).copied()
        };
        match known.and_then(|at| self.members.get_mut(at)) {
            Some((_, known)) => *known = value,
            None => {
                if self.members.len() > COMPARED_MAX {
                    self.index.insert(name.into_owned(), self.members.len());
                }
                self.members.push((key, value));
            }
        }
    }

    fn members<'l>(&self, line: &'l [u8]) -> impl Iterator<Item = (&'l [u8], &'l [u8])> {
        let with_value = self.members.iter().filter(|(_, value)| !value.is_empty());
        with_value
            .filter_map(|(key, value)| Some((line.get(key.clone())?, line.get(value.clone())?)))
    }
}

#[cfg(test)]
mod tests;
