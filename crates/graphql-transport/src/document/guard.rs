//! Limits of a document, checked before it is validated. A fragment is visited once, however often it is spread: fragments that
//! spread each other twice would double the work with each level.

use std::collections::HashMap;

use apollo_compiler::{
    Name,
    ast::{Definition, Document, FragmentDefinition, Selection},
};
use async_graphql::ServerError;

use super::{Limits, refused};

/// The size of a selection set with its fragments expanded.
#[derive(Clone, Copy, Default)]
struct ExpandedSize {
    selections: usize,
    spreads: usize,
}

/// Refuses a document that expands to too many selections, whose fragments spread themselves, or that has too many aliases or
/// directives.
pub fn check(document: &Document, limits: &Limits) -> Result<(), ServerError> {
    let mut count = Counts::default();
    let mut walk =
        FragmentSizes { fragments: fragments(document), known: HashMap::new(), max_depth: limits.fragment_depth };
    let mut total = 0_usize;
    for definition in &document.definitions {
        match definition {
            Definition::FragmentDefinition(fragment) => {
                count.directives += fragment.directives.len();
                count.set(&fragment.selection_set);
                walk.fragment(&fragment.name, 0)?;
            }
            Definition::OperationDefinition(operation) => {
                count.directives += operation.directives.len();
                count.set(&operation.selection_set);
                total = total.saturating_add(walk.set(&operation.selection_set, 0)?.selections);
            }
            _ => {}
        }
    }
    at_most(total, limits.selections, "expands to", "selections")?;
    at_most(count.aliases, limits.aliases, "has", "aliases")?;
    at_most(count.directives, limits.directives, "has", "directives")
}

fn at_most(count: usize, most: usize, verb: &str, things: &str) -> Result<(), ServerError> {
    if count <= most {
        return Ok(());
    }
    Err(refused(format!("The query {verb} {count} {things}; at most {most} are allowed.")))
}

fn fragments(document: &Document) -> HashMap<&Name, &FragmentDefinition> {
    let fragments = document.definitions.iter().filter_map(Definition::as_fragment_definition);
    fragments.map(|fragment| (&fragment.name, &**fragment)).collect()
}

/// Aliases and directives of a document.
#[derive(Default)]
struct Counts {
    aliases: usize,
    directives: usize,
}

impl Counts {
    fn set(&mut self, selections: &[Selection]) {
        for selection in selections {
            match selection {
                Selection::Field(field) => {
                    self.aliases += usize::from(field.alias.is_some());
                    self.directives += field.directives.len();
                    self.set(&field.selection_set);
                }
                Selection::InlineFragment(inline) => {
                    self.directives += inline.directives.len();
                    self.set(&inline.selection_set);
                }
                Selection::FragmentSpread(spread) => self.directives += spread.directives.len(),
            }
        }
    }
}

struct FragmentSizes<'a> {
    fragments: HashMap<&'a Name, &'a FragmentDefinition>,
    /// Sizes of the fragments. None while a fragment is being measured.
    known: HashMap<&'a Name, Option<ExpandedSize>>,
    /// Maximum nesting of fragments.
    max_depth: usize,
}

impl<'a> FragmentSizes<'a> {
    fn set(&mut self, set: &'a [Selection], depth: usize) -> Result<ExpandedSize, ServerError> {
        let mut sum = ExpandedSize::default();
        for item in set {
            let inner = match item {
                Selection::Field(field) => self.set(&field.selection_set, depth)?,
                Selection::InlineFragment(inline) => self.set(&inline.selection_set, depth)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.fragment_name, depth)?,
            };
            sum.selections = sum.selections.saturating_add(inner.selections).saturating_add(1);
            sum.spreads = sum.spreads.max(inner.spreads);
        }
        Ok(sum)
    }

    fn fragment(&mut self, name: &'a Name, depth: usize) -> Result<ExpandedSize, ServerError> {
        match self.known.get(name) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Err(refused(format!("Fragment \"{name}\" spreads itself."))),
            None => {}
        }
        let Some(fragment) = self.fragments.get(name).copied() else {
            return Ok(ExpandedSize::default());
        };
        self.known.insert(name, None);
        let mut extent = ExpandedSize::default();
        if depth < self.max_depth {
            extent = self.set(&fragment.selection_set, depth + 1)?;
        }
        extent.spreads += 1;
        if depth >= self.max_depth || extent.spreads > self.max_depth {
            let text = format!("Fragments are nested more than {} levels deep.", self.max_depth);
            return Err(refused(text));
        }
        self.known.insert(name, Some(extent));
        Ok(extent)
    }
}
