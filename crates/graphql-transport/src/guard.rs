//! Checks of a query before the schema validates it.
//!
//! Validation visits a fragment as often as it is spread, so fragments that spread each other twice double its work with each
//! level. This check visits each fragment once.

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, Request, ServerError, Value,
    parser::{
        parse_query,
        types::{DocumentOperations, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet},
    },
};

use super::{codes, codes::Code, nesting};

/// Maximum nesting of fragments.
const DEEPEST_SPREAD: usize = 32;

/// The size of a selection set with its fragments expanded.
#[derive(Clone, Copy, Default)]
struct ExpandedSize {
    selections: usize,
    spreads: usize,
}

/// Parses the request and checks it. Returns the type of its operation, or None if it selects no operation: the schema
/// reports that.
pub fn check(request: &mut Request, most: usize) -> Result<Option<OperationType>, ServerError> {
    if nesting::too_deep(&request.query) {
        return Err(refused("The query is nested too deeply."));
    }
    let document = parse_query(&request.query).map_err(|error| codes::coded_error(error.into()))?;
    expanded(&document, most)?;
    let operation = selected(&document, request.operation_name.as_deref());
    if let Some(operation) = operation {
        required_variables(operation, request)?;
    }
    let kind = operation.map(|operation| operation.node.ty);
    request.set_parsed_query(document);
    Ok(kind)
}

fn refused(text: impl Into<String>) -> ServerError {
    codes::error(Code::BadUserInput, text)
}

/// Refuses a document that expands to more than `most` selections, or whose fragments spread themselves.
fn expanded(document: &ExecutableDocument, most: usize) -> Result<(), ServerError> {
    let mut walk = FragmentSizes { document, known: HashMap::new() };
    let mut total = 0_usize;
    for name in document.fragments.keys() {
        walk.fragment(name, 0)?;
    }
    for (_, operation) in document.operations.iter() {
        let extent = walk.set(&operation.node.selection_set.node, 0)?;
        total = total.saturating_add(extent.selections);
    }
    if total > most {
        return Err(refused(format!("The query expands to {total} selections; at most {most} are allowed.")));
    }
    Ok(())
}

struct FragmentSizes<'a> {
    document: &'a ExecutableDocument,
    /// Sizes of the fragments. None while a fragment is being measured.
    known: HashMap<&'a Name, Option<ExpandedSize>>,
}

impl<'a> FragmentSizes<'a> {
    fn set(&mut self, set: &'a SelectionSet, depth: usize) -> Result<ExpandedSize, ServerError> {
        let mut sum = ExpandedSize::default();
        for item in &set.items {
            let inner = match &item.node {
                Selection::Field(field) => self.set(&field.node.selection_set.node, depth)?,
                Selection::InlineFragment(inline) => self.set(&inline.node.selection_set.node, depth)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name.node, depth)?,
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
        let Some(fragment) = self.document.fragments.get(name) else {
            return Ok(ExpandedSize::default());
        };
        self.known.insert(name, None);
        let mut extent = ExpandedSize::default();
        if depth < DEEPEST_SPREAD {
            extent = self.set(&fragment.node.selection_set.node, depth + 1)?;
        }
        extent.spreads += 1;
        if depth >= DEEPEST_SPREAD || extent.spreads > DEEPEST_SPREAD {
            let text = format!("Fragments are nested more than {DEEPEST_SPREAD} levels deep.");
            return Err(refused(text));
        }
        self.known.insert(name, Some(extent));
        Ok(extent)
    }
}

/// Returns the operation that the request selects.
fn selected<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a Positioned<OperationDefinition>> {
    match (&document.operations, name) {
        (DocumentOperations::Single(operation), None) => Some(operation),
        (DocumentOperations::Multiple(operations), Some(name)) => operations.get(name),
        (DocumentOperations::Multiple(operations), None) if operations.len() == 1 => operations.values().next(),
        _ => None,
    }
}

/// Refuses a request without a required variable before anything runs. The schema would notice it only when it reaches the
/// field, after earlier mutations of the same request.
fn required_variables(operation: &Positioned<OperationDefinition>, request: &Request) -> Result<(), ServerError> {
    for definition in &operation.node.variable_definitions {
        let variable = &definition.node;
        let name = &variable.name.node;
        let missing = match request.variables.get(name) {
            None => variable.default_value().is_none(),
            Some(value) => !variable.var_type.node.nullable && *value == Value::Null,
        };
        if missing {
            let kind = &variable.var_type.node;
            let mut error = refused(format!("Variable \"${name}\" of type \"{kind}\" is required."));
            error.locations = vec![definition.pos];
            return Err(error);
        }
    }
    Ok(())
}
