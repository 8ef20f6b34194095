/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "workload.h"

#define US_PER_S 1000000u
#define CHUNK_PAGES 16u
/* A step is kept below about this much computing, so that heartbeats stay on time. */
#define CHUNK_COST_US 200u

static const char *const pattern_names[WL_PATTERNS] = {
    [WL_IDLE] = "idle", [WL_UNIFORM] = "uniform", [WL_HOT] = "hot",
    [WL_SCAN] = "scan", [WL_PHASES] = "phases",
};

uint64_t
wl_div(uint64_t a, uint32_t b)
{
#ifdef __i386__
    uint32_t high = (uint32_t)(a >> 32), low = (uint32_t)a;
    uint32_t q_high = high / b, rest = high % b, q_low;

    __asm__("divl %2" : "=a"(q_low), "+d"(rest) : "rm"(b), "a"(low) : "cc");
    return ((uint64_t)q_high << 32) | q_low;
#else
    return a / b;
#endif
}

const char *
wl_pattern_name(enum wl_pattern pattern)
{
    return pattern < WL_PATTERNS ? pattern_names[pattern] : "?";
}

/* -- parameters ------------------------------------------------------------------------------ */

void
wl_defaults(struct wl_params *p)
{
    *p = (struct wl_params){
        .pattern = WL_UNIFORM,
        .rate_pages_per_s = 1000,
        .run_pages = 1,
        .verify_pages_per_s = 8192,
        .phase_ms = 3000,
        .beat_ms = 5,
        .seed = 1,
    };
}

static bool
word_is(const char *word, uint32_t len, const char *name)
{
    uint32_t i;

    for (i = 0; i < len && name[i] == word[i] && name[i]; i++) {
    }
    return i == len && !name[i];
}

static bool
parse_number(const char *s, uint32_t len, uint32_t *out)
{
    uint64_t n = 0;

    if (len == 0 || len > 10)
        return false;
    for (uint32_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return false;
        n = n * 10 + (uint32_t)(s[i] - '0');
    }
    if (n > UINT32_MAX)
        return false;
    *out = (uint32_t)n;
    return true;
}

static bool
parse_pattern(const char *s, uint32_t len, enum wl_pattern *out)
{
    for (uint32_t i = 0; i < WL_PATTERNS; i++) {
        if (word_is(s, len, pattern_names[i])) {
            *out = (enum wl_pattern)i;
            return true;
        }
    }
    return false;
}

static bool
parse_word(struct wl_params *p, const char *key, uint32_t key_len, const char *value,
           uint32_t value_len)
{
    const struct {
        const char *name;
        uint32_t *to;
        uint32_t scale, min, max;
    } numbers[] = {
        {"rate", &p->rate_pages_per_s, 1, 0, 10000000},
        {"ws", &p->ws_pages, (1024 * 1024) / WL_PAGE_SIZE, 0, 1024 * 1024},
        {"run", &p->run_pages, 1, 1, 512},
        {"cost", &p->cost_us, 1, 0, 100000},
        {"verify", &p->verify_pages_per_s, 1, 0, 10000000},
        {"phase", &p->phase_ms, 1, 1, 3600000},
        {"beat", &p->beat_ms, 1, 1, 10000},
        {"seed", &p->seed, 1, 1, UINT32_MAX},
    };
    uint32_t n;

    if (word_is(key, key_len, "pattern"))
        return parse_pattern(value, value_len, &p->pattern);
    for (uint32_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (!word_is(key, key_len, numbers[i].name))
            continue;
        if (!parse_number(value, value_len, &n) || n < numbers[i].min || n > numbers[i].max)
            return false;
        *numbers[i].to = n * numbers[i].scale;
        return true;
    }
    return true;
}

bool
wl_parse(struct wl_params *p, const char *cmdline, const char **bad)
{
    const char *s = cmdline;

    while (*s) {
        const char *word = s, *equals = 0;

        for (; *s && *s != ' ' && *s != '\n'; s++) {
            if (*s == '=' && !equals)
                equals = s;
        }
        if (equals && !parse_word(p, word, (uint32_t)(equals - word), equals + 1,
                                  (uint32_t)(s - equals - 1))) {
            *bad = word;
            return false;
        }
        while (*s == ' ' || *s == '\n')
            s++;
    }
    return true;
}

/* -- pages ----------------------------------------------------------------------------------- */

static uint32_t
mix(uint32_t x)
{
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ (x >> 16);
}

static uint32_t
next_random(struct workload *w)
{
    /* Marsaglia's xorshift; never 0 as the seed is not */
    w->rng ^= w->rng << 13;
    w->rng ^= w->rng >> 17;
    w->rng ^= w->rng << 5;
    return w->rng;
}

static uint32_t
random_below(struct workload *w, uint32_t n)
{
    return (uint32_t)(((uint64_t)next_random(w) * n) >> 32);
}

uint32_t
wl_burn(uint32_t rounds, uint32_t x)
{
    for (uint32_t i = 0; i < rounds; i++)
        x = mix(x + i);
    return x;
}

/* Word 0 is the index, 1 the generation, the last the sum of all others. */
static void
page_write(uint32_t *page, uint32_t index, uint32_t gen)
{
    uint32_t x = mix(index * 0x9e3779b1u ^ gen), sum = index + gen;

    page[0] = index;
    page[1] = gen;
    for (uint32_t i = 2; i < WL_PAGE_WORDS - 1; i++) {
        x = x * 1664525u + 1013904223u;
        page[i] = x;
        sum += x;
    }
    page[WL_PAGE_WORDS - 1] = sum;
}

static bool
page_check(const uint32_t *page, uint32_t index, uint32_t gen)
{
    uint32_t x = mix(index * 0x9e3779b1u ^ gen), sum = index + gen;
    uint32_t wrong = (page[0] ^ index) | (page[1] ^ gen);

    for (uint32_t i = 2; i < WL_PAGE_WORDS - 1; i++) {
        x = x * 1664525u + 1013904223u;
        wrong |= page[i] ^ x;
        sum += x;
    }
    return !(wrong | (page[WL_PAGE_WORDS - 1] ^ sum));
}

static uint32_t *
page_at(struct workload *w, uint32_t index)
{
    return w->pages + (uintptr_t)index * WL_PAGE_WORDS;
}

void
wl_init(struct workload *w, const struct wl_params *p, uint32_t *pages, uint32_t *gens,
        uint32_t n_pages)
{
    *w = (struct workload){
        .p = *p,
        .pages = pages,
        .gens = gens,
        .n_pages = n_pages,
        .rng = p->seed ? p->seed : 1,
    };
    if (w->p.ws_pages == 0 || w->p.ws_pages > n_pages)
        w->p.ws_pages = n_pages;
    if (w->p.run_pages == 0)
        w->p.run_pages = 1;
    for (uint32_t i = 0; i < n_pages; i++) {
        gens[i] = 0;
        page_write(page_at(w, i), i, 0);
    }
}

/* -- load ------------------------------------------------------------------------------------ */

static enum wl_pattern
pattern_now(const struct workload *w, uint64_t now_us)
{
    static const enum wl_pattern phases[] = {WL_UNIFORM, WL_IDLE, WL_SCAN, WL_IDLE};

    if (w->p.pattern != WL_PHASES)
        return w->p.pattern;
    return phases[wl_div(wl_div(now_us, 1000), w->p.phase_ms) % 4];
}

/* Where the hottest slots lie: anywhere, as in a guest that has run for a while. Each slot once:
 * every step is a bijection of as many bits as n needs, and is taken again until it hits below n.
 */
static uint32_t
scatter(uint32_t slot, uint32_t n)
{
    uint32_t bits = n > 1 ? 32 - (uint32_t)__builtin_clz(n - 1) : 1, half = (bits + 1) / 2;
    uint32_t mask = UINT32_MAX >> (32 - bits);

    do {
        slot = (slot + 0x7F4A7C15u) & mask;
        slot ^= slot >> half;
        slot = (slot * 0x9E3779B1u) & mask;
        slot ^= slot >> half;
    } while (slot >= n);
    return slot;
}

static uint32_t
pick_hot(struct workload *w, uint32_t n)
{
    uint32_t hottest = n;

    while (hottest >= 5 && random_below(w, 5) != 0)
        hottest /= 5;
    return scatter(random_below(w, hottest), n);
}

/* First page of the next request. Requests are aligned to their size, as buffers and objects are.
 */
static uint32_t
pick_request(struct workload *w, enum wl_pattern pattern)
{
    uint32_t slots = w->p.ws_pages / w->p.run_pages, slot;

    if (slots == 0)
        return 0;
    switch (pattern) {
    case WL_SCAN:
        slot = w->scan_next++ % slots;
        break;
    case WL_HOT:
        slot = pick_hot(w, slots);
        break;
    default:
        slot = random_below(w, slots);
        break;
    }
    return slot * w->p.run_pages;
}

static void
write_one(struct workload *w, enum wl_pattern pattern)
{
    uint32_t index;

    if (w->run_left == 0) {
        w->run_next = pick_request(w, pattern);
        w->run_left = w->p.run_pages;
    }
    index = w->run_next++;
    w->run_left--;
    if (index >= w->n_pages)
        return;
    if (w->p.cost_rounds)
        w->rng ^= wl_burn(w->p.cost_rounds, w->rng) == 0;
    if (w->rng == 0)
        w->rng = 1;
    w->gens[index]++;
    page_write(page_at(w, index), index, w->gens[index]);
    w->written_pages++;
    if (index < w->cursor)
        w->walk_sum++;
}

static void
verify_one(struct workload *w)
{
    uint32_t index = w->cursor;

    if (!page_check(page_at(w, index), index, w->gens[index])) {
        if (w->errors++ == 0)
            w->first_bad_page = index;
    }
    w->walk_sum += w->gens[index];
    w->verified_pages++;
    if (++w->cursor < w->n_pages)
        return;
    if (w->walk_sum != w->written_pages) {
        if (w->errors++ == 0)
            w->first_bad_page = UINT32_MAX;
    }
    w->cursor = 0;
    w->walk_sum = 0;
    w->walks++;
}

static void
accrue(struct workload *w, enum wl_pattern pattern, uint64_t now_us)
{
    uint64_t elapsed_us = w->last_us && now_us > w->last_us ? now_us - w->last_us : 0;
    uint64_t most = (uint64_t)w->p.rate_pages_per_s * WL_BACKLOG_US;

    w->last_us = now_us > w->last_us ? now_us : w->last_us;
    if (pattern != WL_IDLE)
        w->write_credit += elapsed_us * w->p.rate_pages_per_s;
    if (w->write_credit > most) {
        w->lost_pages += wl_div(w->write_credit - most, US_PER_S);
        w->write_credit = most;
    }
    w->verify_credit += elapsed_us * w->p.verify_pages_per_s;
    /* the walk need not catch up: a tenth of a second's worth at most */
    most = (uint64_t)w->p.verify_pages_per_s * (US_PER_S / 10);
    if (w->verify_credit > most)
        w->verify_credit = most;
}

bool
wl_step(struct workload *w, uint64_t now_us)
{
    enum wl_pattern pattern = pattern_now(w, now_us);
    bool flat_out = w->p.rate_pages_per_s == 0 && pattern != WL_IDLE;
    uint32_t chunk = w->p.cost_us ? 1 + CHUNK_COST_US / w->p.cost_us : CHUNK_PAGES;

    if (chunk > CHUNK_PAGES)
        chunk = CHUNK_PAGES;
    accrue(w, pattern, now_us);
    for (uint32_t i = 0; i < chunk && (flat_out || w->write_credit >= US_PER_S); i++) {
        write_one(w, pattern);
        if (!flat_out)
            w->write_credit -= US_PER_S;
    }
    for (uint32_t i = 0; i < CHUNK_PAGES && w->verify_credit >= US_PER_S; i++) {
        verify_one(w);
        w->verify_credit -= US_PER_S;
    }
    return flat_out || w->write_credit >= US_PER_S || w->verify_credit >= US_PER_S;
}

/* -- lines ----------------------------------------------------------------------------------- */

static char *
put_string(char *to, const char *s)
{
    while (*s)
        *to++ = *s++;
    return to;
}

static char *
put_number(char *to, uint64_t n)
{
    char digits[20];
    uint32_t len = 0;

    do {
        uint64_t q = wl_div(n, 10);

        digits[len++] = (char)('0' + (uint32_t)(n - q * 10));
        n = q;
    } while (n);
    while (len)
        *to++ = digits[--len];
    return to;
}

uint32_t
wl_heartbeat(const struct workload *w, char *buf, uint64_t seq, uint64_t now_us)
{
    const uint64_t fields[] = {
        seq, wl_div(now_us, 1000), w->written_pages, w->verified_pages, w->walks, w->errors};
    char *to = put_string(buf, "hb");

    for (uint32_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        *to++ = ' ';
        to = put_number(to, fields[i]);
    }
    *to++ = '\n';
    return (uint32_t)(to - buf);
}

uint32_t
wl_ready(const struct workload *w, char *buf)
{
    const struct {
        const char *name;
        uint32_t value;
    } fields[] = {
        {" rate=", w->p.rate_pages_per_s},
        {" ws_pages=", w->p.ws_pages},
        {" run=", w->p.run_pages},
        {" cost=", w->p.cost_us},
        {" verify=", w->p.verify_pages_per_s},
        {" beat=", w->p.beat_ms},
    };
    char *to = put_string(buf, "ready pages=");

    to = put_number(to, w->n_pages);
    to = put_string(to, " pattern=");
    to = put_string(to, wl_pattern_name(w->p.pattern));
    for (uint32_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        to = put_string(to, fields[i].name);
        to = put_number(to, fields[i].value);
    }
    *to++ = '\n';
    return (uint32_t)(to - buf);
}
