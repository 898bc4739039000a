//! Salespeople, who are in charge of contacts, campaigns, segments, tasks and opportunities. The
//! database function `refuse_blocked_salesperson` refuses new assignments to blocked ones.

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Reference, Text};

use crate::platform::db::schema::salespeople;
use crate::platform::http::constraints::Dependent;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::Problem;
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;

/// The writable fields of a salesperson.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = SalespersonWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct SalespersonWrite {
    /// The code that contacts, campaigns and segments refer to.
    #[deserr(default)]
    pub code: Option<Key>,
    /// The name.
    #[deserr(default)]
    #[serde(default)]
    pub name: Text<100>,
    /// The e-mail address. Its form is not checked.
    #[deserr(default)]
    #[serde(default)]
    pub email: Text<254>,
    /// True if nothing new can be assigned to the salesperson: no contact, campaign, segment, task
    /// or opportunity. Existing assignments stay.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub blocked: bool,
}

/// A salesperson.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Salesperson)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = salespeople, check_for_backend(Pg))]
pub struct SalespersonView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code that contacts, campaigns and segments refer to.
    pub code: Key,
    /// The name.
    pub name: Text<100>,
    /// The e-mail address. Its form is not checked.
    pub email: Text<254>,
    /// True if nothing new can be assigned to the salesperson.
    #[schema(example = false)]
    pub blocked: bool,
}

/// The resource `/v1/salespeople`.
pub struct Salespeople;

impl Resource for Salespeople {
    const NAMES: Names = Names {
        path: "/v1/salespeople",
        singular: "salesperson",
        plural: "salespeople",
        one: "a salesperson",
        tag: "Reference data",
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "salespeople.id").not_null(),
            Field::new("code", FieldKind::Key, "salespeople.code").not_null(),
            Field::new("name", FieldKind::Text, "salespeople.name").not_null(),
            Field::new("email", FieldKind::Text, "salespeople.email").not_null(),
            Field::new("blocked", FieldKind::Boolean, "salespeople.blocked").not_null(),
        ],
        default_order: "code",
        tie: "code",
    };
    const HOLDERS: &'static [Dependent] = &[
        Dependent {
            what: "contacts",
            count: "SELECT count(*) AS count FROM contacts WHERE salesperson_code = $1",
        },
        Dependent {
            what: "campaigns",
            count: "SELECT count(*) AS count FROM campaigns WHERE salesperson_code = $1",
        },
        Dependent {
            what: "segments",
            count: "SELECT count(*) AS count FROM segments WHERE salesperson_code = $1",
        },
        Dependent {
            what: "teams",
            count: "SELECT count(*) AS count FROM team_members WHERE salesperson_code = $1",
        },
        Dependent {
            what: "tasks",
            count: "SELECT count(*) AS count FROM tasks WHERE salesperson_code = $1",
        },
        Dependent {
            what: "opportunities",
            count: "SELECT count(*) AS count FROM opportunities WHERE salesperson_code = $1",
        },
        Dependent {
            what: "logged segments",
            count: "SELECT count(*) AS count FROM logged_segments WHERE salesperson_code = $1",
        },
        Dependent {
            what: "interactions",
            count: "SELECT count(*) AS count FROM interactions WHERE salesperson_code = $1",
        },
    ];
    type Scope = ();
    type Write = SalespersonWrite;
    type View = SalespersonView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query = salespeople::table.select(SalespersonView::as_select()).into_boxed();
        let query = query
            .filter(list.condition())
            .order(list.ordering())
            .limit(list.limit())
            .offset(list.offset());
        Ok(query.load(conn).await?)
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        Ok(salespeople::table
            .count()
            .into_boxed()
            .filter(list.filter_condition())
            .get_result(conn)
            .await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        (): &(),
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem> {
        let by_id = salespeople::id.nullable().eq(reference.id());
        let query = salespeople::table
            .filter(by_id.or(salespeople::code.nullable().eq(reference.key())))
            .select(SalespersonView::as_select());
        let found = if lock {
            query.for_no_key_update().first(conn).await
        } else {
            query.first(conn).await
        };
        Ok(found.optional()?)
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        (): &(),
        writes: &[SalespersonWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let codes: Vec<Option<Key>> = writes.iter().map(Self::key).collect();
        let known = salespeople::table
            .filter(salespeople::code.eq_any(codes.iter().flatten()))
            .select((salespeople::code, salespeople::id))
            .load(conn)
            .await?;
        Ok(ids_of(codes, known))
    }

    // No changed keys are recorded, since no price depends on a salesperson.
    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<SalespersonWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use salespeople as t;
        let values: Vec<_> = rows
            .iter()
            .map(|RowWrite { id, write: SalespersonWrite { code, name, email, blocked } }| {
                (
                    t::id.eq(*id),
                    code.as_ref().map(|code| t::code.eq(code)),
                    t::name.eq(name),
                    t::email.eq(email),
                    t::blocked.eq(*blocked),
                )
            })
            .collect();
        let insert = diesel::insert_into(t::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(&mut work.conn).await?,
            IfExists::Replace => {
                insert
                    .on_conflict(t::code)
                    .do_update()
                    .set((
                        t::name.eq(excluded(t::name)),
                        t::email.eq(excluded(t::email)),
                        t::blocked.eq(excluded(t::blocked)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(salespeople::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> SalespersonWrite {
        SalespersonWrite {
            code: Some(view.code.clone()),
            name: view.name.clone(),
            email: view.email.clone(),
            blocked: view.blocked,
        }
    }

    fn key(write: &SalespersonWrite) -> Option<Key> {
        write.code.clone()
    }

    fn set_key(write: &mut SalespersonWrite, key: Key) {
        write.code = Some(key);
    }
}
