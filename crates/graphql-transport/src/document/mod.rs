//! Documents of requests: parsed and validated against the schema as the GraphQL specification says, once for each text.

mod answered;
mod coercion;
mod executed;
mod fields;
mod guard;
mod literals;
mod nesting;
mod syntax;
mod tokens;
mod types;
mod usages;

use std::sync::Arc;

use apollo_compiler::{
    ExecutableDocument, Node, Schema,
    ast::{Definition, OperationType as ParsedType},
    executable::Operation,
    parser::{Parser, SourceMap, SourceSpan},
    validation::{DiagnosticList, Valid},
};
use async_graphql::{Pos, Request, Response, ServerError, parser::types::OperationType};

use self::fields::Conditions;
use super::{
    cache::TextCache,
    codes::{self, Code},
    settings::Settings,
};
pub use types::{InvalidSchema, ScalarCheck};

/// Size of a parsed document, for each byte of its text. An estimate: a field of ten bytes becomes nodes of some 400 bytes.
const PARSED_BYTES: usize = 40;

/// Size of a cached document besides, in bytes.
const ENTRY_BYTES: usize = 500;

/// Maximum depth that the parser follows. The nesting of brackets is limited before.
const RECURSION: usize = 200;

/// The schema, and the documents that were validated against it.
pub struct Documents {
    schema: types::InputTypes,
    limits: Limits,
    cache: TextCache<Arc<Document>>,
}

/// Limits of one document.
#[derive(Clone, Copy)]
pub struct Limits {
    /// Selections, with fragments expanded.
    pub selections: usize,
    /// Aliases.
    pub aliases: usize,
    /// Directives.
    pub directives: usize,
    /// Items of a list in an argument or a variable.
    pub list_items: usize,
    /// Depth of nested brackets.
    pub nesting: usize,
    /// Depth of nested fragments.
    pub fragment_depth: usize,
    /// Errors that are reported.
    pub errors: usize,
}

/// A valid document.
pub struct Document {
    parsed: Valid<ExecutableDocument>,
}

/// The operation of a request, with the values of its variables.
pub struct Selected {
    document: Arc<Document>,
    operation: Node<Operation>,
    conditions: Conditions,
}

impl Documents {
    /// Reads the schema, in the schema definition language.
    pub fn new(sdl: &str, settings: &Settings) -> Result<Self, InvalidSchema> {
        let schema = types::InputTypes::new(sdl, settings.scalars.clone())?;
        let limits = Limits {
            selections: settings.max_selections,
            aliases: settings.max_aliases,
            directives: settings.max_directives,
            list_items: settings.max_list_items,
            nesting: settings.max_nesting,
            fragment_depth: settings.max_fragment_depth,
            errors: settings.max_errors,
        };
        Ok(Self { schema, limits, cache: TextCache::new(settings.document_cache_bytes) })
    }

    /// Validates a request: its document, the choice of its operation, and its variables. Replaces the document and the
    /// variables of the request by what the executor runs.
    pub fn select(&self, request: &mut Request) -> Result<Selected, Vec<ServerError>> {
        let document = self.document(&request.query)?;
        let operation = document.operation(request.operation_name.as_deref()).map_err(|error| vec![error])?;
        let given = std::mem::take(&mut request.variables);
        let variables = coercion::variables(&self.schema, &document, &operation, given, self.limits)?;
        let conditions = Conditions::of(&operation, &variables);
        let selected = Selected { document, operation, conditions };
        request.set_parsed_query(executed::document(self.schema(), &selected, &variables));
        request.variables = variables;
        request.operation_name = None;
        Ok(selected)
    }

    /// Returns a response with its fields in the order of the query, and with the nulls that its errors leave.
    pub fn complete(&self, selected: &Selected, response: Response) -> Response {
        answered::complete(self.schema(), selected, response)
    }

    /// Returns the type of the operation that a request would select, whether or not its document is valid. None if the document
    /// cannot be parsed or has no such operation.
    pub fn written_kind(query: &str, name: Option<&str>, max_nesting: usize) -> Option<OperationType> {
        if nesting::too_deep(query, max_nesting) {
            return None;
        }
        let document = Parser::new().recursion_limit(RECURSION).parse_ast(query, "request").ok()?;
        let operations = document.definitions.iter().filter_map(Definition::as_operation_definition);
        let mut chosen = operations.filter(|operation| name.is_none() || operation.name.as_deref() == name);
        chosen.next().map(|operation| kind(operation.operation_type))
    }

    /// Checks a document.
    ///
    /// # Errors
    /// The first error of an invalid document.
    pub fn check(&self, text: &str) -> Result<(), ServerError> {
        let invalid = self.document(text).err();
        invalid.and_then(|errors| errors.into_iter().next()).map_or(Ok(()), Err)
    }

    fn schema(&self) -> &Valid<Schema> {
        &self.schema.schema
    }

    fn document(&self, text: &str) -> Result<Arc<Document>, Vec<ServerError>> {
        if let Some(document) = self.cache.get(text) {
            return Ok(document);
        }
        let document = Arc::new(self.validated(text)?);
        self.cache.insert(text, Arc::clone(&document), ENTRY_BYTES + text.len() * (1 + PARSED_BYTES));
        Ok(document)
    }

    fn validated(&self, text: &str) -> Result<Document, Vec<ServerError>> {
        if nesting::too_deep(text, self.limits.nesting) {
            let text = format!("The query is nested too deeply: at most {} brackets.", self.limits.nesting);
            return Err(vec![refused(text)]);
        }
        let text = syntax::check(text).map_err(|error| vec![error])?;
        let mut parser = Parser::new().recursion_limit(RECURSION);
        let ast = parser.parse_ast(text, "request").map_err(|invalid| errors(&invalid.errors, self.limits.errors))?;
        guard::check(&ast, &self.limits).map_err(|error| vec![error])?;
        let parsed =
            ast.to_executable_validate(self.schema()).map_err(|invalid| errors(&invalid.errors, self.limits.errors))?;
        literals::check(&self.schema, &parsed, self.limits)?;
        usages::check(&self.schema, &parsed, self.limits.errors)?;
        Ok(Document { parsed })
    }
}

impl Document {
    /// Returns the operation that a request selects by its name, or the only one.
    fn operation(&self, name: Option<&str>) -> Result<Node<Operation>, ServerError> {
        let operations = &self.parsed.operations;
        operations.get(name).cloned().map_err(|_| match name {
            Some(name) => refused(format!("Unknown operation named \"{name}\".")),
            None if operations.is_empty() => refused("The document has no operation."),
            None => refused("Must provide operation name if query contains multiple operations."),
        })
    }

    /// Returns the position of a part of the document.
    fn position(&self, span: Option<SourceSpan>) -> Pos {
        position(span, &self.parsed.sources).unwrap_or_default()
    }
}

impl Selected {
    /// Returns the type of the operation.
    pub fn kind(&self) -> OperationType {
        kind(self.operation.operation_type)
    }

    /// Returns the name of the operation.
    pub fn name(&self) -> Option<&str> {
        self.operation.name.as_ref().map(|name| name.as_str())
    }
}

fn kind(parsed: ParsedType) -> OperationType {
    match parsed {
        ParsedType::Query => OperationType::Query,
        ParsedType::Mutation => OperationType::Mutation,
        ParsedType::Subscription => OperationType::Subscription,
    }
}

fn refused(text: impl Into<String>) -> ServerError {
    codes::error(Code::BadUserInput, text)
}

fn refused_at(text: impl Into<String>, position: Pos) -> ServerError {
    ServerError { locations: vec![position], ..refused(text) }
}

fn position(span: Option<SourceSpan>, sources: &SourceMap) -> Option<Pos> {
    let place = span?.line_column(sources)?;
    Some(Pos { line: place.line, column: place.column })
}

/// Returns the errors of an invalid document, at most `limit`.
fn errors(invalid: &DiagnosticList, limit: usize) -> Vec<ServerError> {
    let error = |diagnostic: apollo_compiler::diagnostic::Diagnostic<'_, _>| {
        let json = diagnostic.unstable_to_json_compat();
        let places = json.locations.iter().map(|place| Pos { line: place.line, column: place.column });
        ServerError { locations: places.collect(), ..refused(json.message) }
    };
    invalid.iter().take(limit).map(error).collect()
}
