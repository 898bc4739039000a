//! The schema of `migrations/` for diesel. A test compares the two.
//!
//! Generated columns (`alike`, `company_type`) are omitted, since no diesel query reads them.

diesel::table! {
    activities (id) {
        id -> Uuid,
        code -> Text,
        description -> Text,
    }
}

diesel::table! {
    activity_steps (activity_code, position) {
        activity_code -> Text,
        position -> Int4,
        #[sql_name = "type"]
        type_ -> Nullable<Text>,
        description -> Text,
        priority -> Text,
        offset_days -> Int4,
    }
}

diesel::table! {
    api_keys (id) {
        id -> Uuid,
        name -> Text,
        roles -> Array<Text>,
        scopes -> Array<Text>,
        expires_at -> Nullable<Timestamptz>,
        restricted_to_contact_number -> Nullable<Text>,
        requests_per_second -> Nullable<Int4>,
        created_at -> Timestamptz,
        created_by -> Text,
        last_used_at -> Nullable<Timestamptz>,
        hash -> Bytea,
    }
}

diesel::table! {
    approval_requests (id) {
        id -> Uuid,
        campaign_number -> Text,
        state -> Text,
        plan_hash -> Text,
        restores_version -> Nullable<Int8>,
        comment -> Text,
        findings -> Jsonb,
        requested_by -> Text,
        requested_at -> Timestamptz,
        decided_by -> Nullable<Text>,
        decided_at -> Nullable<Timestamptz>,
        decision_comment -> Text,
        publication_version -> Nullable<Int8>,
    }
}

diesel::table! {
    audit_entries (id) {
        id -> Uuid,
        at -> Timestamptz,
        subject -> Text,
        operation_id -> Text,
        path -> Text,
        status -> Int2,
        trace_id -> Text,
        publication_version -> Nullable<Int8>,
    }
}

diesel::table! {
    book (only_row) {
        only_row -> Bool,
        version -> Int8,
        book_id -> Uuid,
    }
}

diesel::table! {
    book_audience (campaign_number, chunk, from_version) {
        campaign_number -> Text,
        chunk -> Int4,
        ordinals -> Array<Int4>,
        from_version -> Int8,
        to_version -> Nullable<Int8>,
    }
}

diesel::table! {
    book_entries (kind, key, from_version) {
        kind -> Text,
        key -> Text,
        campaign_number -> Nullable<Text>,
        facts -> Jsonb,
        from_version -> Int8,
        to_version -> Nullable<Int8>,
    }
}

diesel::table! {
    campaign_editors (campaign_number, subject) {
        campaign_number -> Text,
        subject -> Text,
    }
}

diesel::table! {
    campaign_status_changes (id) {
        id -> Uuid,
        campaign_number -> Text,
        from_status_code -> Nullable<Text>,
        to_status_code -> Nullable<Text>,
        changed_at -> Timestamptz,
        changed_by -> Text,
    }
}

diesel::table! {
    campaign_statuses (id) {
        id -> Uuid,
        code -> Text,
        description -> Text,
        sequence -> Int4,
        allows_activation -> Bool,
        is_final -> Bool,
    }
}

diesel::table! {
    campaigns (id) {
        id -> Uuid,
        created_by -> Text,
        updated_by -> Text,
        updated_at -> Timestamptz,
        number -> Text,
        description -> Text,
        #[sql_name = "type"]
        type_ -> Nullable<Text>,
        salesperson_code -> Nullable<Text>,
        status_code -> Nullable<Text>,
        starting_date -> Nullable<Date>,
        ending_date -> Nullable<Date>,
        publishing -> Text,
        combination -> Text,
        margin_floor_percent -> Nullable<Numeric>,
        max_discount_percent -> Nullable<Numeric>,
        guardrail_mode -> Nullable<Text>,
        has_unpublished_changes -> Bool,
        publication_version -> Nullable<Int8>,
        published_starting_date -> Nullable<Date>,
        published_ending_date -> Nullable<Date>,
    }
}

diesel::table! {
    contacts (id) {
        id -> Uuid,
        created_by -> Text,
        updated_by -> Text,
        updated_at -> Timestamptz,
        number -> Text,
        #[sql_name = "type"]
        type_ -> Text,
        name -> Text,
        company_number -> Nullable<Text>,
        address -> Text,
        address2 -> Text,
        post_code -> Text,
        city -> Text,
        county -> Text,
        country_code -> Nullable<Text>,
        phone -> Text,
        email -> Text,
        language_code -> Nullable<Text>,
        currency_code -> Nullable<Text>,
        salesperson_code -> Nullable<Text>,
        territory_code -> Nullable<Text>,
        industry_groups -> Array<Text>,
        mailing_groups -> Array<Text>,
        job_responsibilities -> Array<Text>,
        business_relations -> Array<Text>,
        exclude_from_segments -> Bool,
        privacy_blocked -> Bool,
        customer_number -> Nullable<Text>,
        customer_price_group_code -> Nullable<Text>,
        customer_discount_group_code -> Nullable<Text>,
        customer_allow_line_discount -> Bool,
        customer_prices_include_tax -> Bool,
        ordinal -> Int4,
    }
}

diesel::table! {
    criteria_actions (id) {
        id -> Uuid,
        segment_number -> Text,
        position -> Int4,
        action -> Text,
        filter -> Text,
        allow_existing -> Bool,
        expand_companies -> Bool,
        related_companies -> Bool,
        entire_companies -> Bool,
        ignore_exclusion -> Bool,
        lines_added -> Int8,
        lines_existing -> Int8,
        lines_removed -> Int8,
        performed_at -> Timestamptz,
        performed_by -> Text,
    }
}

diesel::table! {
    criteria_removed_lines (action_id, line_id) {
        action_id -> Uuid,
        line_id -> Uuid,
        contact_number -> Text,
        account_number -> Nullable<Text>,
        campaign_target -> Nullable<Bool>,
        campaign_response -> Nullable<Bool>,
        added_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    currencies (id) {
        id -> Uuid,
        code -> Text,
        description -> Text,
        unit_amount_precision -> Numeric,
        amount_precision -> Numeric,
    }
}

diesel::table! {
    discount_lines (id) {
        id -> Uuid,
        created_by -> Text,
        updated_by -> Text,
        updated_at -> Timestamptz,
        source_type -> Text,
        campaign_number -> Nullable<Text>,
        contact_number -> Nullable<Text>,
        group_code -> Nullable<Text>,
        item_number -> Nullable<Text>,
        item_discount_group_code -> Nullable<Text>,
        variant_code -> Nullable<Text>,
        unit_of_measure_code -> Nullable<Text>,
        currency_code -> Nullable<Text>,
        minimum_quantity -> Numeric,
        starting_date -> Nullable<Date>,
        ending_date -> Nullable<Date>,
        line_discount_percent -> Numeric,
    }
}

diesel::table! {
    event_counter (only_row) {
        only_row -> Bool,
        sequence -> Int8,
    }
}

diesel::table! {
    events (sequence) {
        sequence -> Int8,
        id -> Uuid,
        #[sql_name = "type"]
        type_ -> Text,
        subject -> Text,
        occurred_at -> Timestamptz,
        data -> Jsonb,
        campaign_id -> Nullable<Uuid>,
        starting_date -> Nullable<Date>,
        ending_date -> Nullable<Date>,
    }
}

diesel::table! {
    exchange_rates (id) {
        id -> Uuid,
        currency_code -> Text,
        starting_date -> Date,
        rate -> Numeric,
    }
}

diesel::table! {
    golden_quotes (id) {
        id -> Uuid,
        campaign_number -> Text,
        contact_number -> Nullable<Text>,
        customer_number -> Nullable<Text>,
        item_number -> Text,
        variant_code -> Nullable<Text>,
        unit_of_measure_code -> Nullable<Text>,
        quantity -> Numeric,
        date -> Nullable<Date>,
        currency_code -> Nullable<Text>,
        prices_include_tax -> Nullable<Bool>,
        unit_price -> Nullable<Numeric>,
        line_discount_percent -> Nullable<Numeric>,
        line_amount -> Nullable<Numeric>,
        expected_campaign -> Nullable<Bool>,
        note -> Text,
    }
}

diesel::table! {
    idempotency_records (key_hash) {
        key_hash -> Bytea,
        request_hash -> Bytea,
        status -> Int2,
        headers -> Jsonb,
        body -> Nullable<Bytea>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    import_chunks (import_id, number) {
        import_id -> Uuid,
        number -> Int4,
        rows -> Text,
    }
}

diesel::table! {
    import_errors (id) {
        id -> Int8,
        import_id -> Uuid,
        line -> Int8,
        column_name -> Text,
        code -> Text,
        detail -> Text,
    }
}

diesel::table! {
    imports (id) {
        id -> Uuid,
        resource -> Text,
        read_scope -> Text,
        format -> Text,
        mode -> Text,
        atomic -> Bool,
        validate_only -> Bool,
        state -> Text,
        rows_read -> Int8,
        rows_written -> Int8,
        rows_unchanged -> Int8,
        rows_failed -> Int8,
        code -> Nullable<Text>,
        detail -> Nullable<Text>,
        findings -> Jsonb,
        publication_version -> Nullable<Int8>,
        created_by -> Text,
        created_at -> Timestamptz,
        started_at -> Nullable<Timestamptz>,
        progressed_at -> Timestamptz,
        finished_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    interaction_templates (id) {
        id -> Uuid,
        code -> Text,
        description -> Text,
        cost -> Numeric,
        duration_minutes -> Int4,
    }
}

diesel::table! {
    interactions (id) {
        id -> Uuid,
        date -> Date,
        contact_number -> Nullable<Text>,
        account_number -> Nullable<Text>,
        campaign_number -> Nullable<Text>,
        segment_number -> Nullable<Text>,
        interaction_template_code -> Nullable<Text>,
        salesperson_code -> Nullable<Text>,
        campaign_target -> Bool,
        campaign_response -> Bool,
        cost -> Numeric,
        duration_minutes -> Int4,
        description -> Text,
        evaluation -> Nullable<Text>,
        canceled -> Bool,
        canceled_with_segment -> Bool,
    }
}

diesel::table! {
    item_units_of_measure (item_number, code) {
        item_number -> Text,
        code -> Text,
        quantity_per_unit -> Numeric,
    }
}

diesel::table! {
    item_variants (item_number, code) {
        item_number -> Text,
        code -> Text,
        description -> Text,
    }
}

diesel::table! {
    items (id) {
        id -> Uuid,
        created_by -> Text,
        updated_by -> Text,
        updated_at -> Timestamptz,
        number -> Text,
        description -> Text,
        list_price -> Nullable<Numeric>,
        price_includes_tax -> Bool,
        tax_percent -> Numeric,
        unit_cost -> Nullable<Numeric>,
        item_discount_group_code -> Nullable<Text>,
        blocked -> Bool,
        base_unit_of_measure_code -> Text,
    }
}

diesel::table! {
    opportunities (id) {
        id -> Uuid,
        number -> Text,
        description -> Text,
        contact_number -> Text,
        campaign_number -> Nullable<Text>,
        salesperson_code -> Nullable<Text>,
        estimated_value -> Numeric,
        chance_percent -> Numeric,
        stage -> Text,
        state -> Text,
        creation_date -> Date,
        closed_date -> Nullable<Date>,
    }
}

diesel::table! {
    logged_segments (id) {
        id -> Uuid,
        number -> Text,
        description -> Text,
        campaign_number -> Nullable<Text>,
        campaign_target -> Bool,
        campaign_response -> Bool,
        salesperson_code -> Nullable<Text>,
        subject -> Text,
        interaction_template_code -> Text,
        date -> Date,
        send_attachments -> Bool,
        canceled -> Bool,
    }
}

diesel::table! {
    price_lines (id) {
        id -> Uuid,
        created_by -> Text,
        updated_by -> Text,
        updated_at -> Timestamptz,
        source_type -> Text,
        campaign_number -> Nullable<Text>,
        contact_number -> Nullable<Text>,
        group_code -> Nullable<Text>,
        item_number -> Text,
        variant_code -> Nullable<Text>,
        unit_of_measure_code -> Nullable<Text>,
        currency_code -> Nullable<Text>,
        minimum_quantity -> Numeric,
        starting_date -> Nullable<Date>,
        ending_date -> Nullable<Date>,
        unit_price -> Numeric,
        allow_line_discount -> Bool,
        price_includes_tax -> Bool,
        tax_percent -> Nullable<Numeric>,
    }
}

diesel::table! {
    publications (version) {
        version -> Int8,
        kind -> Text,
        campaign_number -> Nullable<Text>,
        author -> Text,
        published_at -> Timestamptz,
        added -> Int8,
        changed -> Int8,
        removed -> Int8,
        content_hash -> Text,
    }
}

diesel::table! {
    sales (id) {
        id -> Uuid,
        document_type -> Text,
        document_number -> Text,
        line_number -> Int4,
        posting_date -> Date,
        contact_number -> Nullable<Text>,
        customer_number -> Nullable<Text>,
        account_number -> Text,
        item_number -> Text,
        variant_code -> Nullable<Text>,
        unit_of_measure_code -> Nullable<Text>,
        quantity -> Numeric,
        base_quantity -> Numeric,
        line_amount -> Numeric,
        discount_amount -> Numeric,
        cost -> Nullable<Numeric>,
        currency_code -> Nullable<Text>,
        campaign_number -> Nullable<Text>,
        price_line_id -> Nullable<Uuid>,
        discount_line_id -> Nullable<Uuid>,
        publication_version -> Nullable<Int8>,
        baseline_amount -> Nullable<Numeric>,
    }
}

diesel::table! {
    sales_attributions (sale_id, campaign_number) {
        sale_id -> Uuid,
        campaign_number -> Text,
        basis -> Text,
        price -> Bool,
        discount -> Bool,
    }
}

diesel::table! {
    salespeople (id) {
        id -> Uuid,
        code -> Text,
        name -> Text,
        email -> Text,
        blocked -> Bool,
    }
}

diesel::table! {
    saved_criteria (id) {
        id -> Uuid,
        code -> Text,
        description -> Text,
        actions -> Jsonb,
    }
}

diesel::table! {
    segment_lines (id) {
        id -> Uuid,
        segment_number -> Text,
        contact_number -> Text,
        account_number -> Nullable<Text>,
        campaign_target -> Nullable<Bool>,
        campaign_response -> Nullable<Bool>,
        added_by -> Nullable<Uuid>,
    }
}

diesel::table! {
    segments (id) {
        id -> Uuid,
        created_by -> Text,
        updated_by -> Text,
        updated_at -> Timestamptz,
        number -> Text,
        description -> Text,
        campaign_number -> Nullable<Text>,
        campaign_target -> Bool,
        campaign_response -> Bool,
        salesperson_code -> Nullable<Text>,
        subject -> Text,
        interaction_template_code -> Nullable<Text>,
        membership -> Text,
        filter -> Text,
        evaluated_on -> Nullable<Date>,
    }
}

diesel::table! {
    service_secrets (name) {
        name -> Text,
        secret -> Bytea,
    }
}

diesel::table! {
    settings (only_row) {
        only_row -> Bool,
        local_currency_code -> Text,
        time_zone -> Text,
        price_policy -> Text,
        price_hierarchy -> Array<Text>,
        never_above_list_price -> Bool,
        margin_floor_percent -> Nullable<Numeric>,
        max_discount_percent -> Nullable<Numeric>,
        guardrail_mode -> Text,
        approval_required -> Text,
        next_campaign_number -> Text,
        next_segment_number -> Text,
        next_contact_number -> Text,
        next_opportunity_number -> Text,
    }
}

diesel::table! {
    tasks (id) {
        id -> Uuid,
        campaign_number -> Text,
        contact_number -> Nullable<Text>,
        salesperson_code -> Nullable<Text>,
        team_code -> Nullable<Text>,
        #[sql_name = "type"]
        type_ -> Nullable<Text>,
        description -> Text,
        date -> Date,
        starting_time -> Nullable<Time>,
        priority -> Text,
        state -> Text,
        closed_at -> Nullable<Timestamptz>,
        recurrence_interval -> Nullable<Int4>,
        recurrence_unit -> Nullable<Text>,
        recurrence_from -> Nullable<Text>,
        activity_code -> Nullable<Text>,
        next_task_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    team_members (team_code, salesperson_code) {
        team_code -> Text,
        salesperson_code -> Text,
    }
}

diesel::table! {
    teams (id) {
        id -> Uuid,
        code -> Text,
        name -> Text,
    }
}

diesel::table! {
    webhook_deliveries (id) {
        id -> Uuid,
        subscription_id -> Uuid,
        event_sequence -> Int8,
        state -> Text,
        attempts -> Int4,
        next_attempt_at -> Nullable<Timestamptz>,
        attempted_at -> Nullable<Timestamptz>,
        response_status -> Nullable<Int2>,
        duration_milliseconds -> Nullable<Int4>,
        error -> Nullable<Text>,
        created_at -> Timestamptz,
    }
}

diesel::table! {
    webhook_subscriptions (id) {
        id -> Uuid,
        url -> Text,
        types -> Array<Text>,
        description -> Text,
        enabled -> Bool,
        disabled_reason -> Nullable<Text>,
        failing_since -> Nullable<Timestamptz>,
        secret -> Bytea,
        previous_secret -> Nullable<Bytea>,
        previous_secret_expires_at -> Nullable<Timestamptz>,
        created_at -> Timestamptz,
        created_by -> Text,
    }
}

diesel::allow_tables_to_appear_in_same_query!(
    activities,
    activity_steps,
    book,
    book_audience,
    book_entries,
    campaign_status_changes,
    campaign_statuses,
    campaigns,
    contacts,
    criteria_actions,
    criteria_removed_lines,
    currencies,
    discount_lines,
    events,
    exchange_rates,
    idempotency_records,
    import_chunks,
    import_errors,
    imports,
    interaction_templates,
    interactions,
    item_units_of_measure,
    item_variants,
    items,
    opportunities,
    logged_segments,
    price_lines,
    publications,
    sales,
    sales_attributions,
    salespeople,
    saved_criteria,
    segment_lines,
    segments,
    service_secrets,
    settings,
    tasks,
    team_members,
    teams,
    webhook_deliveries,
    webhook_subscriptions,
);
