//! The caller of a request.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;
use values::wire_enum;

use super::scope::{Role, Scopes};

wire_enum! {
    /// The way in which a caller has identified itself.
    CallerKind {
        /// A program on the same machine, while the service has no credentials.
        Local = "LOCAL",
        /// The key of the configuration.
        Bootstrap = "BOOTSTRAP",
        /// A key of `/v1/api-keys`.
        ApiKey = "API_KEY",
        /// A token of the OpenID Connect issuer.
        Oidc = "OIDC",
        /// Nobody: only public operations are open to it.
        Anonymous = "ANONYMOUS",
    }
}

/// The caller of a request, added to it by the middleware that checks the credentials. Copies are
/// cheap.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Identity>);

/// The properties of a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The kind of credentials.
    pub kind: CallerKind,
    /// The identity that is recorded as the author of changes.
    pub subject: String,
    /// The name for people.
    pub name: String,
    /// The roles of an API key or a token.
    pub roles: Vec<Role>,
    /// The permissions, those of the roles included.
    pub scopes: Scopes,
    /// The only account whose prices the caller may see, by the number of its contact.
    pub restricted_to_contact_number: Option<String>,
}

impl Caller {
    /// Creates a caller.
    #[must_use]
    pub fn new(identity: Identity) -> Self {
        Self(Arc::new(identity))
    }

    /// Creates a caller with all scopes, or with none.
    #[must_use]
    pub fn of_kind(kind: CallerKind, subject: &str) -> Self {
        let scopes = if kind == CallerKind::Anonymous { Scopes::default() } else { Scopes::all() };
        Self::new(Identity {
            kind,
            subject: subject.to_owned(),
            name: subject.to_owned(),
            roles: Vec::new(),
            scopes,
            restricted_to_contact_number: None,
        })
    }

    /// Returns the properties.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.0
    }

    /// Returns the permissions.
    #[must_use]
    pub fn scopes(&self) -> Scopes {
        self.0.scopes
    }

    /// Returns the only account whose prices the caller may see.
    #[must_use]
    pub fn restriction(&self) -> Option<&str> {
        self.0.restricted_to_contact_number.as_deref()
    }
}

/// The caller of a request.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Me {
    /// The identity that is recorded as the author of changes.
    #[schema(max_length = 100, example = "local")]
    pub subject: String,
    /// The name for people.
    #[schema(max_length = 100, example = "local")]
    pub name: String,
    /// The way in which the caller has identified itself.
    #[schema(example = "LOCAL")]
    pub kind: CallerKind,
    /// The roles of an API key or a token.
    #[schema(max_items = 10)]
    pub roles: Vec<Role>,
    /// The permissions, those of the roles included.
    #[schema(max_items = 20)]
    pub scopes: Vec<super::scope::Scope>,
    /// The only account whose prices the caller may see, by the number of its contact; null without
    /// such a restriction.
    #[schema(max_length = 50, example = "CT000042")]
    pub restricted_to_contact_number: Option<String>,
}

impl From<&Caller> for Me {
    fn from(caller: &Caller) -> Self {
        let Identity { kind, subject, name, roles, scopes, restricted_to_contact_number } =
            caller.identity().clone();
        Self {
            subject,
            name,
            kind,
            roles,
            scopes: scopes.iter().collect(),
            restricted_to_contact_number,
        }
    }
}
