//! Scopes: what a caller may do. A role is a name for several scopes.

use std::fmt;

use values::text_enum;

text_enum! {
    /// A permission that operations require.
    Scope {
        /// Quotes, effective and lowest prices. Explanations contain the lines of the account.
        QuotesRead = "quotes:read",
        /// Explanations with the lines of all accounts.
        QuotesExplain = "quotes:explain",
        /// Publications, their changes, the change feed and events.
        BookRead = "book:read",
        /// Items, currencies, exchange rates, salespeople, teams and lines outside campaigns.
        CatalogRead = "catalog:read",
        /// Changes of the catalog.
        CatalogWrite = "catalog:write",
        /// Contacts, segments and interactions.
        ContactsRead = "contacts:read",
        /// Changes of contacts, segments and interactions.
        ContactsWrite = "contacts:write",
        /// Campaigns with their lines, statuses, tasks, opportunities, sales and statistics.
        CampaignsRead = "campaigns:read",
        /// Changes of campaigns.
        CampaignsWrite = "campaigns:write",
        /// Activations, deactivations and rollbacks.
        CampaignsActivate = "campaigns:activate",
        /// Approvals.
        CampaignsApprove = "campaigns:approve",
        /// Posting of sales.
        SalesWrite = "sales:write",
        /// Settings, API keys and the audit log.
        Admin = "admin",
    }
}

text_enum! {
    /// A name for several scopes.
    Role {
        /// A shop or till that asks for prices.
        Shop = "SHOP",
        /// An ERP that keeps catalog, contacts and sales in step.
        Integrator = "INTEGRATOR",
        /// A planner of campaigns.
        Marketer = "MARKETER",
        /// A pricing manager: a marketer who changes list prices and activates campaigns.
        Pricing = "PRICING",
        /// A person who approves campaigns.
        Approver = "APPROVER",
        /// An administrator, with every scope.
        Admin = "ADMIN",
    }
}

impl Role {
    /// Returns the scopes of the role.
    #[must_use]
    pub fn scopes(self) -> Scopes {
        use Scope::{
            BookRead, CampaignsActivate, CampaignsApprove, CampaignsRead, CampaignsWrite,
            CatalogRead, CatalogWrite, ContactsRead, ContactsWrite, QuotesExplain, QuotesRead,
            SalesWrite,
        };
        let reads = [QuotesRead, BookRead, CatalogRead, ContactsRead, CampaignsRead];
        match self {
            Self::Shop => Scopes::of(&[QuotesRead]),
            Self::Integrator => Scopes::of(&[
                QuotesRead,
                BookRead,
                CatalogRead,
                CatalogWrite,
                ContactsRead,
                ContactsWrite,
                SalesWrite,
            ]),
            Self::Marketer => Scopes::of(&reads).with(&[ContactsWrite, CampaignsWrite]),
            Self::Pricing => {
                Self::Marketer.scopes().with(&[CatalogWrite, QuotesExplain, CampaignsActivate])
            }
            Self::Approver => Scopes::of(&reads).with(&[CampaignsApprove]),
            Self::Admin => Scopes::all(),
        }
    }
}

/// A part of the data, with the scopes for reading and changing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// Items, currencies, exchange rates, salespeople, teams and lines outside campaigns.
    Catalog,
    /// Contacts, segments and interactions.
    Contacts,
    /// Campaigns with their lines, statuses, tasks and opportunities.
    Campaigns,
    /// Posted sales.
    Sales,
    /// API keys and the audit log.
    Administration,
}

impl Area {
    /// Returns the scope of operations that read.
    #[must_use]
    pub const fn read(self) -> Scope {
        match self {
            Self::Catalog => Scope::CatalogRead,
            Self::Contacts => Scope::ContactsRead,
            Self::Campaigns | Self::Sales => Scope::CampaignsRead,
            Self::Administration => Scope::Admin,
        }
    }

    /// Returns the scope of operations that change.
    #[must_use]
    pub const fn write(self) -> Scope {
        match self {
            Self::Catalog => Scope::CatalogWrite,
            Self::Contacts => Scope::ContactsWrite,
            Self::Campaigns => Scope::CampaignsWrite,
            Self::Sales => Scope::SalesWrite,
            Self::Administration => Scope::Admin,
        }
    }
}

/// A set of scopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scopes(u16);

impl Scopes {
    /// Returns the set of these scopes.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        Self::default().with(scopes)
    }

    /// Returns all scopes.
    #[must_use]
    pub fn all() -> Self {
        Self::of(Scope::ALL)
    }

    /// Returns the scopes of roles and further scopes.
    #[must_use]
    pub fn granted(roles: &[Role], scopes: &[Scope]) -> Self {
        roles.iter().fold(Self::of(scopes), |all, role| Self(all.0 | role.scopes().0))
    }

    /// Returns the set with further scopes.
    #[must_use]
    pub fn with(self, scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(self.0, |bits, scope| bits | bit(*scope)))
    }

    /// Returns whether the set contains a scope.
    #[must_use]
    pub const fn contains(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Returns the scopes of this set that another one does not contain.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns the scopes in the order of the documentation.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.contains(*scope))
    }
}

/// Writes the scopes separated by commas.
impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<&str> = self.iter().map(Scope::text).collect();
        f.write_str(&texts.join(", "))
    }
}

const fn bit(scope: Scope) -> u16 {
    let place = match scope {
        Scope::QuotesRead => 0,
        Scope::QuotesExplain => 1,
        Scope::BookRead => 2,
        Scope::CatalogRead => 3,
        Scope::CatalogWrite => 4,
        Scope::ContactsRead => 5,
        Scope::ContactsWrite => 6,
        Scope::CampaignsRead => 7,
        Scope::CampaignsWrite => 8,
        Scope::CampaignsActivate => 9,
        Scope::CampaignsApprove => 10,
        Scope::SalesWrite => 11,
        Scope::Admin => 12,
    };
    1 << place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_contain_what_they_were_made_of() {
        for scope in Scope::ALL {
            assert_eq!(Scopes::of(&[*scope]).iter().collect::<Vec<_>>(), [*scope]);
        }
        assert_eq!(Scopes::all().iter().count(), Scope::ALL.len());
        let shop = Role::Shop.scopes();
        assert!(shop.without(Role::Admin.scopes()).is_empty());
        assert_eq!(
            Role::Pricing.scopes().without(Role::Marketer.scopes()).to_string(),
            "quotes:explain, catalog:write, campaigns:activate"
        );
        assert_eq!(
            Scopes::granted(&[Role::Shop], &[Scope::Admin]).to_string(),
            "quotes:read, admin"
        );
    }
}
