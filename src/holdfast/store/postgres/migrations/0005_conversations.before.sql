-- Conversations: their state, their turns, and who has one or waits for it.

CREATE TABLE holdfast.conversations (
    tenant text COLLATE "C" NOT NULL,
    id text COLLATE "C" NOT NULL,
    "user" text COLLATE "C" NOT NULL,
    definition text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    status text COLLATE "C" NOT NULL,                     -- open, ended, abandoned, handed_over
    state bytea NOT NULL,
    revision bigint NOT NULL,
    turns bigint NOT NULL,
    created_at bigint NOT NULL,
    changed_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    ended_at bigint,
    handover bytea,                                       -- what is still to be done of one
    item text COLLATE "C",                                -- the work item that it belongs to
    keep_us bigint NOT NULL,                              -- for so long after it has expired
    PRIMARY KEY (tenant, id)
) WITH (fillfactor = 70);
CREATE INDEX conversations_changed ON holdfast.conversations (tenant, changed_at, id);
CREATE INDEX conversations_user ON holdfast.conversations (tenant, "user", changed_at, id);
CREATE INDEX conversations_item ON holdfast.conversations (tenant, item, changed_at, id) WHERE item IS NOT NULL;
CREATE INDEX conversations_expiry ON holdfast.conversations ((expires_at + keep_us));
CREATE INDEX conversations_handover ON holdfast.conversations (changed_at) WHERE handover IS NOT NULL;

CREATE TABLE holdfast.turns (
    tenant text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    actor text COLLATE "C" NOT NULL,
    message text COLLATE "C" NOT NULL,
    response bytea NOT NULL,
    text text COLLATE "C" NOT NULL,                       -- what the model said, as it came
    change bytea NOT NULL,                                -- of the state, as a JSON merge patch
    model text COLLATE "C",
    input_tokens bigint,
    output_tokens bigint,
    cost double precision,
    waited_us bigint NOT NULL,
    model_us bigint NOT NULL,
    took_us bigint NOT NULL,
    at bigint NOT NULL,
    PRIMARY KEY (tenant, conversation, number)
);
CREATE UNIQUE INDEX turns_id ON holdfast.turns (tenant, conversation, id);

CREATE TABLE holdfast.turn_holds (                        -- who has a conversation, or had it last
    tenant text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    "user" text COLLATE "C" NOT NULL,
    token bigint NOT NULL,                                -- rises each time that it is taken
    ticket bytea,                                         -- NULL: nobody
    turn_id text COLLATE "C" NOT NULL,
    fingerprint bytea NOT NULL,
    since bigint NOT NULL,
    until bigint NOT NULL,
    PRIMARY KEY (tenant, conversation)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_cost_delay = 0);                -- its turns change it in place: no index is touched

CREATE TABLE holdfast.turn_line (                         -- who waits for one
    tenant text COLLATE "C" NOT NULL,
    conversation text COLLATE "C" NOT NULL,
    place bigint NOT NULL,
    ticket bytea NOT NULL,
    until bigint NOT NULL,                                -- lost then, unless its owner says before that it still waits
    PRIMARY KEY (tenant, conversation, place)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);

CREATE TYPE holdfast.conversation_row AS (
    tenant text, id text, "user" text, definition text, version text, status text, state bytea, revision bigint,
    turns bigint, created_at bigint, changed_at bigint, expires_at bigint, ended_at bigint, handover bytea, item text,
    keep_us bigint
);
CREATE TYPE holdfast.turn_row AS (
    tenant text, conversation text, number bigint, id text, fingerprint bytea, actor text, message text, response bytea,
    text text, change bytea, model text, input_tokens bigint, output_tokens bigint, cost double precision,
    waited_us bigint, model_us bigint, took_us bigint, at bigint
);
CREATE TYPE holdfast.turn_hold_row AS (
    tenant text, conversation text, "user" text, token bigint, ticket bytea, turn_id text, fingerprint bytea,
    since bigint, until bigint
);
CREATE TYPE holdfast.turn_take_row AS (
    tenant text, conversation text, "user" text, ticket bytea, turn_id text, fingerprint bytea, lease_us bigint,
    make boolean
);

-- Takes conversations for turns where that is plain: nobody has it or stands in line, it is the user's and open, and the
-- turn is not over; what is not plain is left as it is, for who asks to look closer. And saves turns. Functions, since
-- each statement inside one sees what was committed before it began, as the second statement of a transaction does: the
-- holds are locked first, in order, and everything else is read behind those locks, in one round trip.
CREATE FUNCTION holdfast.take_turns(asked holdfast.turn_take_row[], recent integer)
RETURNS TABLE (
    i integer, token bigint, until bigint, conversation holdfast.conversation_row, messages text[], responses bytea[]
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now bigint;
BEGIN
    INSERT INTO holdfast.turn_holds (tenant, conversation, "user", token, ticket, turn_id, fingerprint, since, until)
    SELECT v.tenant, v.conversation, v."user", 0, NULL, '', '', 0, 0 FROM unnest(asked) AS v
    WHERE v.make OR EXISTS (
        SELECT FROM holdfast.turn_holds AS h WHERE h.tenant = v.tenant AND h.conversation = v.conversation
    )
    ORDER BY v.tenant, v.conversation
    ON CONFLICT (tenant, conversation) DO UPDATE SET token = turn_holds.token WHERE false;
    now := holdfast.now_us();
    RETURN QUERY
    WITH plain AS MATERIALIZED (
        SELECT v.n, v.tenant, v.conversation, v."user", v.ticket, v.turn_id, v.fingerprint,
               greatest(now, h.token + 1) AS token, now + v.lease_us AS until, c.row
        FROM unnest(asked) WITH ORDINALITY AS v (
            tenant, conversation, "user", ticket, turn_id, fingerprint, lease_us, make, n
        )
        CROSS JOIN LATERAL (
            SELECT * FROM holdfast.turn_holds AS h
            WHERE h.tenant = v.tenant AND h.conversation = v.conversation AND (h.ticket IS NULL OR h.until <= now)
            OFFSET 0
        ) AS h
        LEFT JOIN LATERAL (
            SELECT c."user", c.status, c.expires_at, (
                c.tenant, c.id, c."user", c.definition, c.version, c.status, c.state, c.revision, c.turns, c.created_at,
                c.changed_at, c.expires_at, c.ended_at, c.handover, c.item, c.keep_us
            )::holdfast.conversation_row AS row
            FROM holdfast.conversations AS c WHERE c.tenant = v.tenant AND c.id = v.conversation OFFSET 0
        ) AS c ON true
        WHERE CASE WHEN c.row IS NULL THEN v.make
                   ELSE c."user" = v."user" AND c.status = 'open' AND c.expires_at > now END
          AND NOT EXISTS (
              SELECT FROM holdfast.turn_line AS l WHERE l.tenant = v.tenant AND l.conversation = v.conversation
          )
          AND NOT EXISTS (
              SELECT FROM holdfast.turns AS t
              WHERE t.tenant = v.tenant AND t.conversation = v.conversation AND t.id = v.turn_id
          )
    ), took AS (
        UPDATE holdfast.turn_holds AS h SET
            since = now, "user" = p."user", token = p.token, ticket = p.ticket, turn_id = p.turn_id,
            fingerprint = p.fingerprint, until = p.until
        FROM plain AS p WHERE h.tenant = p.tenant AND h.conversation = p.conversation
    )
    SELECT p.n::integer - 1, p.token, p.until, p.row, said.messages, said.responses
    FROM plain AS p
    CROSS JOIN LATERAL (
        SELECT array_agg(t.message ORDER BY t.number) AS messages, array_agg(t.response ORDER BY t.number) AS responses
        FROM (
            SELECT t.number, t.message, t.response FROM holdfast.turns AS t
            WHERE t.tenant = p.tenant AND t.conversation = p.conversation ORDER BY t.number DESC LIMIT recent
        ) AS t
    ) AS said;
END
$$;

-- Gives the numbers, from 0, of those that were held under their tokens: they are stored, the others are not. What is
-- saved has in the place of its expiry for how long it lasts.
CREATE FUNCTION holdfast.save_turns(saved holdfast.conversation_row[], tokens bigint[], ended holdfast.turn_row[])
RETURNS SETOF integer LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now bigint;
    freed integer[];
    changed integer;
    written integer;
BEGIN
    PERFORM FROM (
        SELECT v.tenant, v.id FROM unnest(saved) AS v ORDER BY v.tenant, v.id
    ) AS v CROSS JOIN LATERAL (
        SELECT FROM holdfast.turn_holds AS h WHERE h.tenant = v.tenant AND h.conversation = v.id FOR UPDATE
    ) AS h;
    now := holdfast.now_us();
    WITH held AS (
        UPDATE holdfast.turn_holds AS h SET ticket = NULL
        FROM unnest(saved) WITH ORDINALITY AS v
        WHERE h.tenant = v.tenant AND h.conversation = v.id AND h.token = tokens[v.ordinality]
          AND h.ticket IS NOT NULL AND h.until > now
        RETURNING v.ordinality::integer AS n
    )
    SELECT coalesce(array_agg(held.n), '{}') INTO freed FROM held;
    INSERT INTO holdfast.conversations
    SELECT v.tenant, v.id, v."user", v.definition, v.version, v.status, v.state, v.revision, v.turns, now, now,
           now + v.expires_at, CASE WHEN v.status <> 'open' THEN now END, v.handover, v.item, v.keep_us
    FROM unnest(freed) AS n CROSS JOIN LATERAL unnest(saved[n:n]) AS v WHERE v.revision = 1
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS written = ROW_COUNT;
    UPDATE holdfast.conversations AS c SET
        definition = v.definition, version = v.version, status = v.status, state = v.state, revision = v.revision,
        turns = v.turns, changed_at = now, expires_at = now + v.expires_at,
        ended_at = CASE WHEN v.status <> 'open' THEN now END, handover = v.handover, item = v.item, keep_us = v.keep_us
    FROM unnest(freed) AS n CROSS JOIN LATERAL unnest(saved[n:n]) AS v
    WHERE v.revision > 1 AND c.tenant = v.tenant AND c.id = v.id AND c.revision = v.revision - 1;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF written + changed < cardinality(freed) THEN
        RAISE 'a conversation is not at the revision below the one that is saved'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    INSERT INTO holdfast.turns
    SELECT t.tenant, t.conversation, t.number, t.id, t.fingerprint, t.actor, t.message, t.response, t.text, t.change,
           t.model, t.input_tokens, t.output_tokens, t.cost, t.waited_us, t.model_us, t.took_us, now
    FROM unnest(freed) AS n CROSS JOIN LATERAL unnest(ended[n:n]) AS t WHERE t.tenant IS NOT NULL;
    RETURN QUERY SELECT n - 1 FROM unnest(freed) AS n;
END
$$;

ALTER TABLE holdfast.conversations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.conversations TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.conversations FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.turns ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.turns TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.turns FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.turn_holds ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.turn_holds TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.turn_holds FOR SELECT USING (tenant = holdfast.tenant());

ALTER TABLE holdfast.turn_line ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON holdfast.turn_line TO CURRENT_USER USING (true);
CREATE POLICY tenant ON holdfast.turn_line FOR SELECT USING (tenant = holdfast.tenant());
