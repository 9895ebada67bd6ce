/* The journal protocol of the logshipper's Store (sidecars/logshipper/state), for spin. README.md explains it.

   One log file of N units, and after it, under the same name, a new one (a generation). Each of SINKS sinks gets the
   units in batches of 1 or 2, one in flight at a time. Any step may be followed by a kill or a loss of power.

   The journal has absolute entries, so what a journal does to a state is an overlay: for each sink the last `send` and
   the last `done`. Each journal has two of them: `all` is what a process that starts after a kill reads; `flushed` is
   what a loss of power leaves. The kernel may flush at any moment, so any suffix of a journal may be missing. */

#ifndef N
#define N 4
#endif
#ifndef SINKS
#define SINKS 1
#endif
#ifndef KILLS
#define KILLS 2
#endif
#ifndef LOSSES /* of power */
#define LOSSES 1
#endif
#ifndef FAILURES /* of a write to the disk */
#define FAILURES 1
#endif

#ifndef FILES /* generations, one after the other */
#define FILES 1
#endif

#define UNITS (FILES * N)
#define NONE 255
#define JOURNALS 6

typedef Sink {        /* what is known of a sink */
    byte position[2]; /* the end of what it has decided on, in each generation */
    byte from, to     /* the batch in flight, as the last `send` has it; from == to: none */
};
typedef Known {
    Sink sink[SINKS];
    bool known[2];    /* the generations that are followed */
    byte id           /* of the second generation: a file that is found anew gets a new one, and so new keys */
};
typedef Overlay {
    Sink sink[SINKS]; /* NONE: no entry says anything of it */
    bool found, gone; /* entries `file` of the second generation, and `gone` of the first */
    byte id
};
typedef Journal { Overlay all, flushed };
typedef Snapshot { Known state; byte journal }; /* the first journal that continues it, as an index */

/* -- the disk -- */
Journal journals[JOURNALS];
byte count;                /* journals that there are */
Snapshot renamed, synced;  /* the snapshot that a kill leaves; the one that a loss of power may leave, too */

/* -- the memory of the process -- */
Known mem;
bool is_writing;           /* a journal is open */
bool is_dead;              /* a torn line is in it that could not be cut off: what follows is never read */
bool is_begun;             /* the journal is newer than any snapshot */
bool is_started;           /* the first snapshot is written: now batches may leave */
byte saving;               /* 0 idle, 1 the state is copied, 2 renamed, 3 the directory is flushed */
Snapshot copy;
bool decided[SINKS];       /* the sink has decided on the batch in flight */
bool problem;              /* what operators are told: the state on disk is older than the state in memory */

/* -- the rest of the world, and the truth -- */
byte file;                 /* the generation that is at the path: 0 or 1 */
byte key_from[SINKS * UNITS], key_to[SINKS * UNITS], key_id[SINKS * UNITS]; /* the key under which a unit came first */
bool has[SINKS * UNITS];   /* a receiver has the unit */
bool is_older;             /* an entry is missing on disk that no snapshot has made up for */
bool is_older_since;       /* one that is missing since the state was copied */
bool may_repeat;           /* power was lost, or an entry was missing at a kill: units may come under a second key */
byte kills, losses, failures;

hidden byte s, u, g, i, e, old; /* scratch: no part of the state */

#define FLIGHT(s) (mem.sink[s].from != mem.sink[s].to)
#define END(g) ((g + 1) * N)
#define GENERATION(u) ((u) / N)

inline clear_overlay(o) {
    for (i : 0 .. SINKS - 1) {
        o.sink[i].position[0] = NONE; o.sink[i].position[1] = NONE; o.sink[i].from = NONE; o.sink[i].to = NONE
    }
    o.found = false; o.gone = false; o.id = 0
}

inline copy_overlay(to_, from_) {
    for (i : 0 .. SINKS - 1) {
        to_.sink[i].position[0] = from_.sink[i].position[0]; to_.sink[i].position[1] = from_.sink[i].position[1];
        to_.sink[i].from = from_.sink[i].from; to_.sink[i].to = from_.sink[i].to
    }
    to_.found = from_.found; to_.gone = from_.gone; to_.id = from_.id
}

inline copy_state(to_, from_) {
    for (i : 0 .. SINKS - 1) {
        to_.sink[i].position[0] = from_.sink[i].position[0]; to_.sink[i].position[1] = from_.sink[i].position[1];
        to_.sink[i].from = from_.sink[i].from; to_.sink[i].to = from_.sink[i].to
    }
    to_.known[0] = from_.known[0]; to_.known[1] = from_.known[1]; to_.id = from_.id
}

/* The last write to the journal fails, or what was written can be read later; `happens` is true in the latter case. */
hidden byte happens;
inline append() {
    happens = is_writing && !is_dead;
    if
    :: is_writing -> skip
    :: is_writing && failures < FAILURES -> failures++; happens = false; problem = true; printf("fails\n");
        if :: skip :: is_dead = true; printf("torn\n") fi
    :: !is_writing -> skip
    fi;
    if :: is_writing && !happens -> is_older = true; is_older_since = true :: else fi
}

#define LAST journals[count - 1].all

inline append_send(s_, from_, to_) {
    append();
    if :: happens -> LAST.sink[s_].from = from_; LAST.sink[s_].to = to_ :: else fi
}

inline append_done(s_, g_, position_) {
    append();
    if :: happens -> LAST.sink[s_].position[g_] = position_ :: else fi
}

/* -- shipping -- */

inline collect(s_, g_, size_) { /* SinkQueue.collect and .sending */
    old = mem.sink[s_].position[g_];
    mem.sink[s_].from = old; mem.sink[s_].to = old + size_; decided[s_] = false;
    printf("collect %d %d %d\n", s_, old, old + size_);
#if !defined(NO_SEND_ENTRY) && !defined(SEND_ENTRY_AFTER_THE_WIRE)
    append_send(s_, mem.sink[s_].from, mem.sink[s_].to)
#endif
}

inline transmit(s_) { /* the answer comes, or is lost */
    for (u : mem.sink[s_].from .. mem.sink[s_].to - 1) {
        e = s_ * UNITS + u;
        if
        :: !has[e] -> has[e] = true; key_from[e] = mem.sink[s_].from; key_to[e] = mem.sink[s_].to; key_id[e] = mem.id
        :: else ->
            assert(may_repeat || (key_from[e] == mem.sink[s_].from && key_to[e] == mem.sink[s_].to
                && (u < N || key_id[e] == mem.id))) /* no unit comes under two keys */
        fi
    }
    if :: decided[s_] = true :: skip fi
}

inline settle(s_) { /* SinkQueue.settle */
    g = GENERATION(mem.sink[s_].from);
#ifdef SEND_ENTRY_AFTER_THE_WIRE
    append_send(s_, mem.sink[s_].from, mem.sink[s_].to);
#endif
    mem.sink[s_].position[g] = mem.sink[s_].to;
    mem.sink[s_].from = 0; mem.sink[s_].to = 0; decided[s_] = false;
    printf("settle %d %d\n", s_, mem.sink[s_].position[g]);
    append_done(s_, g, mem.sink[s_].position[g])
}

/* -- files -- */

inline find_the_new_file() { /* Store.add_file */
    mem.known[1] = true; mem.id++;
    for (s : 0 .. SINKS - 1) { mem.sink[s].position[1] = N }
    printf("find %d\n", mem.id);
    append();
    if :: happens -> LAST.found = true; LAST.id = mem.id;
            for (s : 0 .. SINKS - 1) { LAST.sink[s].position[1] = N }
       :: else
    fi
}

inline forget_the_old_file() { /* Store.forget_file */
    mem.known[0] = false; printf("forget\n");
    append();
    if :: happens -> LAST.gone = true :: else fi
}

/* -- saving (Store.save) -- */

inline begin_journal() {
    assert(count < JOURNALS);
    clear_overlay(journals[count].all); clear_overlay(journals[count].flushed);
    count++; is_writing = true; is_dead = false; is_begun = true
}

inline copy_the_state() {
#ifdef SNAPSHOT_BEFORE_THE_NEW_JOURNAL
    copy.journal = count
#else
    if :: !is_writing || !is_begun -> begin_journal() :: else fi;
    copy.journal = count - 1;
#endif
    copy_state(copy.state, mem);
#ifdef SNAPSHOT_WITHOUT_THE_BATCH
    for (i : 0 .. SINKS - 1) { copy.state.sink[i].from = 0; copy.state.sink[i].to = 0 }
#endif
    is_older_since = false; saving = 1; printf("save\n")
}

inline rename_it() {
#ifdef SNAPSHOT_BEFORE_THE_NEW_JOURNAL
    begin_journal();
#endif
    copy_state(renamed.state, copy.state); renamed.journal = copy.journal;
    is_older = is_older_since; saving = 2; printf("renamed\n")
}

inline flush_the_directory() {
    copy_state(synced.state, renamed.state); synced.journal = renamed.journal; saving = 3
}

/* What is needed no longer is cleared, so that states differ only where it matters. */
inline clear_copy() {
    for (i : 0 .. SINKS - 1) {
        copy.state.sink[i].position[0] = 0; copy.state.sink[i].position[1] = 0;
        copy.state.sink[i].from = 0; copy.state.sink[i].to = 0
    }
    copy.state.known[0] = false; copy.state.known[1] = false; copy.state.id = 0; copy.journal = 0; is_older_since = false
}

inline end_saving() {
    is_begun = false; saving = 0; is_started = true;
#ifdef PROBLEM_FORGOTTEN
    problem = false;
#else
    problem = is_older_since;
#endif
    clear_copy(); drop_old_journals(); printf("saved\n")
}

/* Journals that no snapshot needs make no difference. Without them the states are fewer. */
inline drop_old_journals() {
    do
    :: count > 1 && renamed.journal > 0 && synced.journal > 0 && (saving == 0 || copy.journal > 0) ->
        for (g : 1 .. count - 1) {
            copy_overlay(journals[g - 1].all, journals[g].all); copy_overlay(journals[g - 1].flushed, journals[g].flushed)
        }
        count--; renamed.journal--; synced.journal--;
        clear_overlay(journals[count].all); clear_overlay(journals[count].flushed)
    :: else -> break
    od
}

/* -- the end of a process, and the start of the next one (Store._load) -- */

inline apply(o) {
    if :: o.found -> mem.known[1] = true; mem.id = o.id :: else fi;
    for (i : 0 .. SINKS - 1) {
        if :: o.sink[i].position[0] != NONE && mem.known[0] -> mem.sink[i].position[0] = o.sink[i].position[0] :: else fi;
        if :: o.sink[i].position[1] != NONE && mem.known[1] -> mem.sink[i].position[1] = o.sink[i].position[1] :: else fi;
        if :: o.sink[i].from != NONE -> mem.sink[i].from = o.sink[i].from; mem.sink[i].to = o.sink[i].to :: else fi
    }
    if :: o.gone -> mem.known[0] = false :: else fi
}

inline load() {
    copy_state(mem, renamed.state);
    for (g : 0 .. count - 1) {
        if
#ifdef ONLY_THE_FIRST_JOURNAL_IS_READ
        :: g == renamed.journal -> apply(journals[g].all)
#else
        :: g >= renamed.journal -> apply(journals[g].all)
#endif
        :: else
        fi
    }
    for (s : 0 .. SINKS - 1) {
        printf("loaded %d %d %d %d %d\n", s, mem.sink[s].position[0], mem.sink[s].position[1], mem.sink[s].from, mem.sink[s].to);
        decided[s] = false;
        g = GENERATION(mem.sink[s].from);
        if /* SinkQueue.resend: what is decided, or whose file is gone, is in flight no longer */
        :: FLIGHT(s) && (!mem.known[g] || file > g || mem.sink[s].position[g] > mem.sink[s].from) ->
            mem.sink[s].from = 0; mem.sink[s].to = 0
        :: else
        fi;
#ifdef BATCHES_IN_FLIGHT_ARE_FORGOTTEN
        mem.sink[s].from = 0; mem.sink[s].to = 0;
#endif
        if :: !FLIGHT(s) -> mem.sink[s].from = 0; mem.sink[s].to = 0 :: else fi;
        if :: !mem.known[0] -> mem.sink[s].position[0] = N :: else fi;
        if :: !mem.known[1] -> mem.sink[s].position[1] = N :: else fi
    }
    is_writing = false; is_dead = false; is_begun = false; is_started = false; problem = false;
    is_older = false; saving = 0; clear_copy(); drop_old_journals()
}

inline kill() {
    kills++; printf("kill\n");
    if :: is_older -> may_repeat = true :: else fi;
    load()
}

inline lose_power() {
    losses++; may_repeat = true; printf("power\n");
    if
    :: copy_state(renamed.state, synced.state); renamed.journal = synced.journal; printf("old snapshot\n")
    :: copy_state(synced.state, renamed.state); synced.journal = renamed.journal; printf("new snapshot\n")
    fi;
    for (g : 0 .. count - 1) { copy_overlay(journals[g].all, journals[g].flushed) }
    load()
}

inline check_positions() { /* nothing is lost: no position is behind a unit that the receiver has not got */
    for (s : 0 .. SINKS - 1) {
        for (u : 0 .. UNITS - 1) {
            g = GENERATION(u);
            assert(!mem.known[g] || mem.sink[s].position[g] <= u || has[s * UNITS + u])
        }
    }
    assert(problem || !is_older || !is_writing) /* whoever looks at `problem` is told of it */
}

#define ALL_OF(g_) (mem.sink[0].position[g_] == END(g_) && (SINKS == 1 || mem.sink[SINKS - 1].position[g_] == END(g_)))
#define NO_FLIGHT (!FLIGHT(0) && (SINKS == 1 || !FLIGHT(SINKS - 1)))

active proctype process() {
    byte t;
    atomic {
        for (s : 0 .. SINKS - 1) { mem.sink[s].position[1] = N }
        mem.known[0] = true;
        copy_state(renamed.state, mem); copy_state(synced.state, mem);
        for (t : 0 .. JOURNALS - 1) { clear_overlay(journals[t].all); clear_overlay(journals[t].flushed) }
        count = 1; is_writing = false
    }
    do
    :: atomic { is_started -> /* a sink's turn */
        if :: t = 0 :: SINKS > 1 -> t = SINKS - 1 fi;
        if
        :: !FLIGHT(t) && mem.known[0] && file == 0 && mem.sink[t].position[0] < N -> collect(t, 0, 1)
        :: !FLIGHT(t) && mem.known[0] && file == 0 && mem.sink[t].position[0] < N - 1 -> collect(t, 0, 2)
#if FILES > 1
        :: !FLIGHT(t) && mem.known[1] && mem.sink[t].position[1] < UNITS -> collect(t, 1, 1)
        :: !FLIGHT(t) && mem.known[1] && mem.sink[t].position[1] < UNITS - 1 -> collect(t, 1, 2)
#endif
#ifdef POSITION_MOVES_BEFORE_THE_ANSWER
        :: FLIGHT(t) -> settle(t)
#endif
        :: FLIGHT(t) && !decided[t] -> transmit(t)
        :: FLIGHT(t) && decided[t] -> settle(t)
        :: else
        fi;
        check_positions() }
#if FILES > 1
    :: atomic { file == 0 && ALL_OF(0) && NO_FLIGHT -> file = 1; printf("new file\n") }
    :: atomic { file == 1 && is_started && !mem.known[1] -> find_the_new_file(); check_positions() }
    :: atomic { file == 1 && is_started && mem.known[0] && NO_FLIGHT -> forget_the_old_file(); check_positions() }
#endif
    :: atomic { saving == 0 -> copy_the_state(); check_positions() }
    :: atomic { saving == 1 -> rename_it() }
    :: atomic { saving == 1 && failures < FAILURES -> /* no room for the snapshot */
        failures++; problem = true; saving = 0; clear_copy(); printf("not saved\n") }
    :: atomic { saving == 2 -> flush_the_directory() }
    :: atomic { saving == 3 -> end_saving(); check_positions() }
    :: atomic { losses < LOSSES -> /* the kernel flushes a journal, as far as it is written */
        g = 0; do :: g < count - 1 -> g++ :: break od;
        copy_overlay(journals[g].flushed, journals[g].all) }
    :: atomic { kills < KILLS -> kill(); check_positions() }
    :: atomic { losses < LOSSES -> lose_power(); check_positions() }
    :: atomic { file == FILES - 1 && ALL_OF(0) && (FILES == 1 || (mem.known[1] && ALL_OF(1))) && NO_FLIGHT && saving == 0 ->
        break }
    od;
    atomic { for (s : 0 .. SINKS - 1) { for (u : 0 .. UNITS - 1) { assert(has[s * UNITS + u]) } } } /* all is delivered */
}
