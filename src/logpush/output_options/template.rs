//! `record_template`: text with fields and constants in double braces, a small part of Go's template language.

use std::fmt;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// Text, or a constant without its quotes.
    Text(String),
    /// `{{ .Name }}`: the field's value, as JSON.
    Field(String),
}

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Its parts, in order; comments are gone, and no two texts are neighbours.
    pub tokens: Vec<Token>,
}

/// Why a template can not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte at which the braces open that can not be read.
    pub at: usize,
    /// What is wrong there.
    pub problem: TemplateProblem,
}

/// What can be wrong with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateProblem {
    /// The braces are not closed.
    Open,
    /// A constant whose quotes are not closed, or that holds an escape that JSON does not know.
    Constant,
    /// A name with other characters than a field may have here.
    Name,
    /// Anything else of Go's language.
    Unknown,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, what) = (
            self.at,
            match self.problem {
                TemplateProblem::Open => "are not closed; end them with }}",
                TemplateProblem::Constant => {
                    "hold no whole constant; close its quotes, and escape as in JSON"
                }
                TemplateProblem::Name => {
                    "hold no name of a field; write a dot and letters, digits or _, such as {{ .RayID }}"
                }
                TemplateProblem::Unknown => {
                    "hold something else than {{ .Field }}, {{ \"constant\" }} or {{/* comment */}}; \
                     functions and conditions are not offered"
                }
            },
        );
        write!(f, "the braces at byte {at} {what}")
    }
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// Where the first braces are that can not be read, and why.
    pub fn parse(template: &str) -> Result<Self, TemplateError> {
        let mut tokens = Tokens::default();
        let mut rest = template;
        while let Some((text, inside)) = rest.split_once("{{") {
            tokens.text(text);
            let at = template.len() - inside.len() - 2;
            rest = tokens
                .braces(inside)
                .map_err(|problem| TemplateError { at, problem })?;
        }
        tokens.text(rest);
        Ok(Self { tokens: tokens.0 })
    }

    /// The fields that it names, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.tokens.iter().filter_map(|token| match token {
            Token::Field(name) => Some(name.as_str()),
            Token::Text(_) => None,
        })
    }
}

#[derive(Default)]
struct Tokens(Vec<Token>);

impl Tokens {
    fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            _ if text.is_empty() => {}
            Some(Token::Text(last)) => last.push_str(text),
            _ => self.0.push(Token::Text(text.to_owned())),
        }
    }

    /// Takes what stands in braces, and returns what follows them.
    fn braces<'a>(&mut self, inside: &'a str) -> Result<&'a str, TemplateProblem> {
        let inside = inside.trim_start();
        let after = if let Some(comment) = inside.strip_prefix("/*") {
            comment.split_once("*/").ok_or(TemplateProblem::Open)?.1
        } else if let Some(constant) = inside.strip_prefix('`') {
            let (text, after) = constant.split_once('`').ok_or(TemplateProblem::Constant)?;
            self.text(text);
            after
        } else if inside.starts_with('"') {
            let mut values = serde_json::Deserializer::from_str(inside).into_iter::<String>();
            let text = values.next().and_then(Result::ok);
            self.text(&text.ok_or(TemplateProblem::Constant)?);
            inside.get(values.byte_offset()..).unwrap_or_default()
        } else if let Some(name) = inside.strip_prefix('.') {
            let end = name
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(name.len());
            let (name, after) = name.split_at(end);
            let follows = after.trim_start();
            if name.is_empty() || !(follows.starts_with("}}") || follows.is_empty()) {
                return Err(TemplateProblem::Name);
            }
            self.0.push(Token::Field(name.to_owned()));
            after
        } else if inside.contains("}}") {
            return Err(TemplateProblem::Unknown);
        } else {
            return Err(TemplateProblem::Open);
        };
        let after = after.trim_start();
        match after.strip_prefix("}}") {
            Some(rest) => Ok(rest),
            None if after.contains("}}") => Err(TemplateProblem::Unknown),
            None => Err(TemplateProblem::Open),
        }
    }
}
