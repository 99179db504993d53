// A stand-in for NVIDIA's libnvidia-ml.so.1, so that the real pynvml can be driven on a machine without a GPU.
//
// Its GPUs are what the text file named by LABQ_MOCK_NVML says, read again whenever that file changes
// (support/nvml.py writes it). A line each, words apart by blanks, `_` in a name for a blank, `-` for "not available":
//
//   driver VERSION                                     gpu UUID NAME TOTAL_BYTES USED_BYTES UTIL% CELSIUS MILLIWATT
//   proc GPU PID BYTES|-     a compute process         xid GPU CODE             an event, once per event set
//   fail GPU CODE            each query fails          lost GPU                 not even a handle is given (code 15)
//   hang GPU                 queries block meanwhile   initfail CODE            nvmlInit fails
//   ecc GPU CORR UNCORR      error counters            remap GPU CORR UNCORR PENDING FAILURE     row remapping
//   mig GPU 0|1              MIG mode, else N/A     instance GPU UUID ID TOTAL_BYTES USED_BYTES     a MIG instance
//   mps GPU PID BYTES|-      a client of MPS         throttle GPU BITS           why it is slow, as in nvml.h
//   slowdown GPU CELSIUS     a limit, else N/A       margin GPU CELSIUS          how far away it is, else N/A
//   nomemory GPU             no memory of its own    noevents GPU                refuses to tell of events
//   sm GPU PID PERCENT [AGE_MS]   use by a process: going on, or that long before the file was read. Without such
//                            lines the processes share the use of the GPU evenly
//   smgarbage GPU            rows that make no sense beside these    smnone GPU     no size is told, as some drivers do
//   inithang                 nvmlInit blocks meanwhile
//   nvlink GPU GPU           an active NVLink          nvswitch GPU             its links end at a switch
//   nop2p GPU                does not say by what it reaches others; the links themselves answer still
//   common GPU GPU LEVEL     their common ancestor, as in nvml.h, else N/A     cores GPU BITS    its processor's, else N/A
//
// Built with -DMOCK_STATE="FILE" -DMOCK_DRIVER="VERSION", it needs neither that variable nor a `driver` line: as the
// library of an installed driver (support/gpu_packages.py).
//
// GPU is an index, in the order of the gpu lines, or index.ID of an instance; these lines come before those that use it.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, TIMEOUT = 10, LOST = 15, VERSION = 25 };
enum { FIRST_INSTANCE = 4096 };
enum { MAX_GPUS = 64, MAX_PROCS = 64, MAX_XIDS = 256, POLL_MS = 10 };
#ifndef MOCK_STATE
#define MOCK_STATE NULL
#endif
#ifndef MOCK_DRIVER
#define MOCK_DRIVER ""
#endif
#define NOT_AVAILABLE UINT64_MAX
#define EXPORT __attribute__((visibility("default")))

// What callers pass in. A layout that drifts would read garbage, silently: so it is checked here.
struct process { uint32_t pid; uint64_t memory; uint32_t gpu_instance, compute_instance; };
struct sample { uint32_t pid; uint64_t time; uint32_t sm, memory, encoder, decoder; };
struct pci { char legacy[16]; uint32_t domain, bus, device, id, subsystem; char bus_id[32]; };
struct memory { uint64_t total, free, used; };
struct memory_v2 { uint32_t version; uint64_t total, reserved, free, used; };
struct temperature { uint32_t version, sensor; int32_t celsius; };
struct event { void *device; uint64_t type, data; uint32_t gpu_instance, compute_instance; };
struct utilization { uint32_t gpu, memory; };
struct margin { uint32_t version; int32_t celsius; };
_Static_assert(sizeof(struct process) == 24, "nvmlProcessInfo_v3_t");
_Static_assert(sizeof(struct sample) == 32, "nvmlProcessUtilizationSample_t");
_Static_assert(sizeof(struct pci) == 68, "nvmlPciInfo_t");
_Static_assert(sizeof(struct memory) == 24, "nvmlMemory_t");
_Static_assert(sizeof(struct memory_v2) == 40, "nvmlMemory_v2_t");
_Static_assert(sizeof(struct temperature) == 12, "nvmlTemperature_v1_t");
_Static_assert(sizeof(struct event) == 32, "nvmlEventData_t");
_Static_assert(sizeof(struct utilization) == 8, "nvmlUtilization_t");
_Static_assert(sizeof(struct margin) == 8, "nvmlMarginTemperature_v1_t");

struct gpu {
    char uuid[80], name[96];
    uint64_t total, used, ecc[2], throttle;
    // of an instance, `index` is its card's
    unsigned index, util, celsius, milliwatt, remap[4], process_count, mps_count, sample_count;
    // -1: not available; `instance` -1: the whole card
    int fail, mig, instance, slowdown, margin;
    bool hang, lost, no_memory, no_events, garbage, no_size, nvswitch, no_p2p;
    uint64_t cores;
    struct process processes[MAX_PROCS], mps[MAX_PROCS];
    struct sample samples[MAX_PROCS];
};
struct xid { unsigned gpu, code; int instance; };
struct event_set { unsigned seen[MAX_GPUS]; uint64_t gpus; };

static struct {
    char driver[80];
    int init_fail;
    bool init_hang;
    unsigned gpu_count, instance_count, xid_count;
    struct gpu gpus[MAX_GPUS], instances[MAX_GPUS];
    struct xid xids[MAX_XIDS];
    // by index; `common` is one more than the level, 0: not available
    bool linked[MAX_GPUS][MAX_GPUS];
    unsigned char common[MAX_GPUS][MAX_GPUS];
} state;
static int users;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t microseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1000000ULL + now.tv_nsec / 1000;
}

static struct gpu *named(const char *where) {
    char *rest;
    unsigned index = strtoul(where, &rest, 10);
    if (index >= state.gpu_count) return NULL;
    if (*rest != '.') return &state.gpus[index];
    for (unsigned i = 0; i < state.instance_count; i++)
        if (state.instances[i].index == index && state.instances[i].instance == atoi(rest + 1)) return &state.instances[i];
    return NULL;
}

static void read_line(const char *line) {
    char word[16] = "", a[96], b[96];
    unsigned long long n[6] = {0};
    int words = sscanf(line, "%15s %95s %95s", word, a, b);
    if (!strcmp(word, "inithang")) state.init_hang = true;
    if (words < 2) return;
    if (!strcmp(word, "driver")) snprintf(state.driver, sizeof state.driver, "%.79s", a);
    if (!strcmp(word, "initfail")) state.init_fail = atoi(a);
    if (!strcmp(word, "gpu") && state.gpu_count < MAX_GPUS) {
        struct gpu *new = &state.gpus[state.gpu_count];
        sscanf(line, "%*s %79s %95s %llu %llu %llu %llu %llu", new->uuid, new->name, &n[0], &n[1], &n[2], &n[3], &n[4]);
        for (char *c = new->name; *c; c++) if (*c == '_') *c = ' ';
        new->index = state.gpu_count++, new->mig = new->instance = new->slowdown = new->margin = -1;
        new->total = n[0], new->used = n[1], new->util = n[2], new->celsius = n[3], new->milliwatt = n[4];
        return;
    }
    struct gpu *gpu = named(a);
    if (!gpu) return;
    if (!strcmp(word, "instance") && state.instance_count < MAX_GPUS) {
        struct gpu *new = &state.instances[state.instance_count++];
        *new = (struct gpu){.index = gpu->index, .mig = -1, .slowdown = -1, .margin = -1};
        sscanf(line, "%*s %*s %79s %d %llu %llu", new->uuid, &new->instance, &n[0], &n[1]);
        new->total = n[0], new->used = n[1];
        snprintf(new->name, sizeof new->name, "%.70s MIG 1g.%llugb", gpu->name, n[0] >> 30);
        return;
    }
    sscanf(line, "%*s %*s %llu %llu %llu %llu", &n[0], &n[1], &n[2], &n[3]);
    if (!strcmp(word, "fail")) gpu->fail = n[0];
    if (!strcmp(word, "lost")) gpu->lost = true;
    if (!strcmp(word, "hang")) gpu->hang = true;
    if (!strcmp(word, "nomemory")) gpu->no_memory = true;
    if (!strcmp(word, "noevents")) gpu->no_events = true;
    if (!strcmp(word, "smgarbage")) gpu->garbage = true;
    if (!strcmp(word, "smnone")) gpu->no_size = true;
    if (!strcmp(word, "nvswitch")) gpu->nvswitch = true;
    if (!strcmp(word, "nop2p")) gpu->no_p2p = true;
    if (!strcmp(word, "cores")) gpu->cores = n[0];
    if (!strcmp(word, "nvlink") && n[0] < MAX_GPUS) state.linked[gpu->index][n[0]] = state.linked[n[0]][gpu->index] = true;
    if (!strcmp(word, "common") && n[0] < MAX_GPUS)
        state.common[gpu->index][n[0]] = state.common[n[0]][gpu->index] = n[1] + 1;
    if (!strcmp(word, "mig")) gpu->mig = n[0];
    if (!strcmp(word, "throttle")) gpu->throttle = n[0];
    if (!strcmp(word, "slowdown")) gpu->slowdown = n[0];
    if (!strcmp(word, "margin")) gpu->margin = n[0];
    if (!strcmp(word, "ecc")) gpu->ecc[0] = n[0], gpu->ecc[1] = n[1];
    if (!strcmp(word, "remap")) for (int i = 0; i < 4; i++) gpu->remap[i] = n[i];
    if (!strcmp(word, "xid") && state.xid_count < MAX_XIDS)
        state.xids[state.xid_count++] = (struct xid){gpu->index, n[0], gpu->instance};
    if (!strcmp(word, "sm") && gpu->sample_count < MAX_PROCS)
        // Time 0: going on.
        gpu->samples[gpu->sample_count++] = (struct sample){n[0], n[2] ? microseconds() - n[2] * 1000 : 0, n[1], 0, 0, 0};
    bool known = sscanf(line, "%*s %*s %*s %llu", &n[1]) == 1;
    struct process process = {n[0], known ? n[1] : NOT_AVAILABLE, UINT32_MAX, UINT32_MAX};
    if (!strcmp(word, "proc") && gpu->process_count < MAX_PROCS) gpu->processes[gpu->process_count++] = process;
    if (!strcmp(word, "mps") && gpu->mps_count < MAX_PROCS) gpu->mps[gpu->mps_count++] = process;
}

// Call with the lock held.
static void refresh(void) {
    static struct timespec seen;
    static ino_t seen_file;
    const char *path = getenv("LABQ_MOCK_NVML");
    struct stat now;
    char line[512];
    FILE *file;
    if (!path && !(path = MOCK_STATE)) return;
    if (stat(path, &now)) return;
    if (now.st_ino == seen_file && !memcmp(&now.st_mtim, &seen, sizeof seen)) return;
    if (!(file = fopen(path, "r"))) return;
    memset(&state, 0, sizeof state);
    snprintf(state.driver, sizeof state.driver, "%s", MOCK_DRIVER);
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    seen = now.st_mtim, seen_file = now.st_ino;
}

static void nap(void) { nanosleep(&(struct timespec){0, POLL_MS * 1000000L}, NULL); }
static void *handle_of(unsigned index) { return (void *)(uintptr_t)(index + 1); }

// Call with the lock held.
static struct gpu *behind(void *handle) {
    uintptr_t number = (uintptr_t)handle - 1;
    if (number < state.gpu_count) return &state.gpus[number];
    return number - FIRST_INSTANCE < state.instance_count ? &state.instances[number - FIRST_INSTANCE] : NULL;
}

// Copies the GPU behind a handle, after whatever failure or delay the file asks for; no lock is held afterwards.
// What happens to a card happens to its instances.
static int look(void *handle, struct gpu *copy) {
    for (;; nap()) {
        pthread_mutex_lock(&lock);
        refresh();
        struct gpu *found = behind(handle);
        if (found) {
            struct gpu *card = &state.gpus[found->index];
            *copy = *found;
            copy->hang |= card->hang, copy->lost |= card->lost;
            if (!copy->fail) copy->fail = card->fail;
        }
        pthread_mutex_unlock(&lock);
        if (!users) return UNINITIALIZED;
        if (!found) return INVALID;
        if (!copy->hang) return copy->lost ? LOST : copy->fail;
    }
}
static int put(char *to, unsigned size, const char *text) { return snprintf(to, size, "%s", text) < (int)size ? OK : TOO_SMALL; }

EXPORT int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    pthread_mutex_lock(&lock);
    for (refresh(); state.init_hang; refresh()) {
        pthread_mutex_unlock(&lock);
        nap();
        pthread_mutex_lock(&lock);
    }
    int result = state.init_fail;
    if (!result) users++;
    pthread_mutex_unlock(&lock);
    return result;
}
EXPORT int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
EXPORT int nvmlShutdown(void) { return users ? (users--, OK) : UNINITIALIZED; }
EXPORT const char *nvmlErrorString(int code) {
    return code == OK ? "Success" : code == 9 ? "Driver Not Loaded" : code == LOST ? "GPU is lost" : "Mock NVML error";
}

#include "mock_nvml_queries.h"
