//! A filter of audit events as a condition on the table `changes`, whose columns are never NULL.

use super::{
    builder::SqlBuilder,
    filter::{push_comparison, push_expr, push_matching},
};
use crate::model::{
    ActorKind, AuditOutcome,
    filter::{
        AuditFilter,
        ast::{Form, Matching, Operand, Relation},
        audit::{AuditTest, AuditText},
    },
};

/// Appends the condition that `filter` sets. It can be joined with others by `AND`.
pub fn where_audit_filter(filter: &AuditFilter, sql: &mut SqlBuilder) {
    push_expr(filter.expr(), false, sql, push_test);
}

fn push_test(test: &AuditTest, negated: bool, sql: &mut SqlBuilder) {
    if let AuditTest::OccurredAt(relation, time) = test {
        return push_comparison("c.at", *relation, time.0, negated, sql);
    }
    sql.push(if negated { "NOT (" } else { "(" });
    match test {
        AuditTest::ActorKind(kind) => {
            sql.push(of_kind(*kind));
        }
        AuditTest::Outcome(outcome) => {
            // To the letter as the partial index has it.
            sql.push(match outcome {
                AuditOutcome::Done => "c.action NOT IN ('call.refused', 'sign_in.failed')",
                AuditOutcome::Refused => "c.action IN ('call.refused', 'sign_in.failed')",
            });
        }
        AuditTest::UserId(id) => {
            sql.push("c.user_id = ").bind(id);
        }
        AuditTest::UserPresent => {
            sql.push("c.user_id <> ''");
        }
        AuditTest::TextPresent(field) => {
            push_form(*field, Form::Stored, sql);
            sql.push(" <> ''");
        }
        AuditTest::Text(field, matching, operand) => push_text(*field, *matching, operand, sql),
        AuditTest::OccurredAt(..) => {}
    }
    sql.push(")");
}

/// What the actors of a kind have in common.
fn of_kind(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::Anonymous => "c.actor = 'anonymous'",
        ActorKind::Developer => "c.actor = 'developer'",
        ActorKind::System => "c.actor = 'system'",
        ActorKind::User => "c.actor >= 'user:' AND c.actor < 'user;'",
        ActorKind::ApiKey => "c.actor >= 'api_key:' AND c.actor < 'api_key;'",
        ActorKind::Service => "c.actor >= 'service:' AND c.actor < 'service;'",
    }
}

fn push_text(field: AuditText, matching: Matching, operand: &Operand, sql: &mut SqlBuilder) {
    match (field, matching) {
        (AuditText::Action, _) => {
            sql.push("FALSE");
            for action in AuditTest::actions(matching, operand) {
                sql.push(" OR c.action = ").bind(action.name().to_owned());
            }
        }
        // Cheaper than to take each actor apart.
        (AuditText::ActorId, Matching::Is(Relation::Equal)) => {
            let id = operand.text();
            sql.push("c.actor IN (").bind(format!("user:{id}")).push(", ").bind(format!("api_key:{id}"));
            sql.push(", ").bind(format!("service:{id}")).push(")");
        }
        _ => push_matching(&|sql| push_form(field, AuditText::form(matching), sql), true, matching, operand, sql),
    }
}

fn push_form(field: AuditText, form: Form, sql: &mut SqlBuilder) {
    let lower = form == Form::AsciiLower;
    if lower {
        sql.push("lower(");
    }
    match field {
        AuditText::ActorId => sql.push_either(
            "CASE instr(c.actor, ':') WHEN 0 THEN '' ELSE substr(c.actor, instr(c.actor, ':') + 1) END",
            "CASE strpos(c.actor, ':') WHEN 0 THEN '' ELSE substr(c.actor, strpos(c.actor, ':') + 1) END",
        ),
        AuditText::Action => sql.push("c.action"),
        AuditText::Target => sql.push("c.target"),
        AuditText::RemoteAddress => sql.push("c.remote_address"),
        AuditText::RequestId => sql.push("c.request_id"),
        AuditText::Reason => sql.push("c.reason"),
    };
    if lower {
        sql.push(")");
    }
}
