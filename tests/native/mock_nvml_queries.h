// The queries of mock_nvml.c, one function per NVML function; included by it, after its state.

EXPORT int nvmlSystemGetDriverVersion(char *to, unsigned size) {
    pthread_mutex_lock(&lock);
    refresh();
    int result = users ? put(to, size, state.driver) : UNINITIALIZED;
    pthread_mutex_unlock(&lock);
    return result;
}
EXPORT int nvmlSystemGetNVMLVersion(char *to, unsigned size) { return users ? put(to, size, "13.0.0-mock") : UNINITIALIZED; }
EXPORT int nvmlSystemGetCudaDriverVersion_v2(int *version) { return *version = 13000, users ? OK : UNINITIALIZED; }

EXPORT int nvmlDeviceGetCount_v2(unsigned *count) {
    pthread_mutex_lock(&lock);
    refresh();
    *count = state.gpu_count;
    pthread_mutex_unlock(&lock);
    return users ? OK : UNINITIALIZED;
}
// A GPU that merely fails still has a handle; one that fell off the bus has none.
EXPORT int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    struct gpu gpu;
    int result = look(*handle = handle_of(index), &gpu);
    return result == UNINITIALIZED || result == INVALID ? result : gpu.lost ? LOST : OK;
}
// As the real one may, it touches each GPU before the one it looks for: one that hangs is a wall.
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    unsigned cards, count;
    struct gpu gpu;
    int result = nvmlDeviceGetCount_v2(&cards);
    pthread_mutex_lock(&lock);
    count = cards + state.instance_count;
    pthread_mutex_unlock(&lock);
    for (unsigned i = 0; !result && i < count; i++) {
        *handle = i < cards ? handle_of(i) : handle_of(FIRST_INSTANCE + i - cards);
        result = look(*handle, &gpu);
        if (result == UNINITIALIZED) return result;
        if (result != INVALID && !strcmp(gpu.uuid, uuid)) return gpu.lost ? LOST : OK;
        result = OK;
    }
    return result ? result : NOT_FOUND;
}

// Defines a query of one device: its parameters, and what to do with `gpu` once it is found in order.
#define QUERY(name, parameters, ...)                \
    EXPORT int name parameters {                    \
        struct gpu gpu;                             \
        int result = look(device, &gpu);            \
        if (result) return result;                  \
        __VA_ARGS__;                                \
        return OK;                                  \
    }
// The same of what an instance does not answer.
#define CARD_QUERY(name, parameters, ...) QUERY(name, parameters, if (gpu.instance >= 0) return NOT_SUPPORTED; __VA_ARGS__)

QUERY(nvmlDeviceGetUUID, (void *device, char *to, unsigned size), return put(to, size, gpu.uuid))
QUERY(nvmlDeviceGetName, (void *device, char *to, unsigned size), return put(to, size, gpu.name))
QUERY(nvmlDeviceGetIndex, (void *device, unsigned *index), *index = gpu.index)
// On purpose not the index: on real machines the two differ, too.
CARD_QUERY(nvmlDeviceGetMinorNumber, (void *device, unsigned *minor), *minor = state.gpu_count - 1 - gpu.index)
CARD_QUERY(nvmlDeviceGetPciInfo_v3, (void *device, struct pci *pci), {
    *pci = (struct pci){.bus = gpu.index + 1, .id = 0x268410DE};
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", gpu.index + 1);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", gpu.index + 1);
})
QUERY(nvmlDeviceGetMemoryInfo, (void *device, struct memory *memory),
      if (gpu.no_memory) return NOT_SUPPORTED;
      *memory = ((struct memory){gpu.total, gpu.total - gpu.used, gpu.used}))
QUERY(nvmlDeviceGetMemoryInfo_v2, (void *device, struct memory_v2 *memory), {
    if (memory->version != 0x02000028) return VERSION;
    *memory = (struct memory_v2){memory->version, gpu.total, 0, gpu.total - gpu.used, gpu.used};
})
CARD_QUERY(nvmlDeviceGetUtilizationRates, (void *device, struct utilization *rates),
      if (gpu.mig == 1) return NOT_SUPPORTED;
      *rates = ((struct utilization){gpu.util, gpu.total ? gpu.used * 100 / gpu.total : 0}))
CARD_QUERY(nvmlDeviceGetTemperature, (void *device, unsigned sensor, unsigned *celsius), (void)sensor; *celsius = gpu.celsius)
CARD_QUERY(nvmlDeviceGetTemperatureV, (void *device, struct temperature *temperature), {
    if (temperature->version != 0x0100000C) return VERSION;
    temperature->celsius = gpu.celsius;
})
CARD_QUERY(nvmlDeviceGetPowerUsage, (void *device, unsigned *milliwatt), *milliwatt = gpu.milliwatt)
CARD_QUERY(nvmlDeviceGetEnforcedPowerLimit, (void *device, unsigned *milliwatt), *milliwatt = 450000)
CARD_QUERY(nvmlDeviceGetTotalEnergyConsumption, (void *device, unsigned long long *millijoule), {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoule = (now.tv_sec + now.tv_nsec / 1e9) * gpu.milliwatt;
})
CARD_QUERY(nvmlDeviceGetFanSpeed, (void *device, unsigned *percent), *percent = 30)
QUERY(nvmlDeviceGetTotalEccErrors, (void *device, unsigned uncorrected, unsigned counter, unsigned long long *count),
      (void)counter; if (gpu.mig == 1) return NOT_SUPPORTED; *count = gpu.ecc[uncorrected != 0])
CARD_QUERY(nvmlDeviceGetRemappedRows, (void *device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed),
      *corrected = gpu.remap[0]; *uncorrected = gpu.remap[1]; *pending = gpu.remap[2]; *failed = gpu.remap[3])
CARD_QUERY(nvmlDeviceGetCurrentClocksEventReasons, (void *device, unsigned long long *reasons), *reasons = gpu.throttle)
CARD_QUERY(nvmlDeviceGetCurrentClocksThrottleReasons, (void *device, unsigned long long *reasons), *reasons = gpu.throttle)
CARD_QUERY(nvmlDeviceGetTemperatureThreshold, (void *device, unsigned which, unsigned *celsius), {
    if (which != 1 /* slowdown */ || gpu.slowdown < 0) return NOT_SUPPORTED;
    *celsius = gpu.slowdown;
})
CARD_QUERY(nvmlDeviceGetMarginTemperature, (void *device, struct margin *margin), {
    if (margin->version != 0x01000008) return VERSION;
    if (gpu.margin < 0) return NOT_SUPPORTED;
    margin->celsius = gpu.margin;
})
CARD_QUERY(nvmlDeviceGetMigMode, (void *device, unsigned *current, unsigned *pending), {
    if (gpu.mig < 0) return NOT_SUPPORTED;
    *current = *pending = gpu.mig;
})

QUERY(nvmlDeviceGetMaxMigDeviceCount, (void *device, unsigned *count), *count = gpu.mig < 0 ? 0 : 7)
CARD_QUERY(nvmlDeviceGetMigDeviceHandleByIndex, (void *device, unsigned place, void **instance), {
    pthread_mutex_lock(&lock);
    *instance = NULL;
    for (unsigned i = 0; i < state.instance_count; i++)
        if (state.instances[i].index == gpu.index && !place--) *instance = handle_of(FIRST_INSTANCE + i);
    pthread_mutex_unlock(&lock);
    if (!*instance) return NOT_FOUND;
})
QUERY(nvmlDeviceGetGpuInstanceId, (void *device, unsigned *id), if (gpu.instance < 0) return NOT_SUPPORTED; *id = gpu.instance)
QUERY(nvmlDeviceGetDeviceHandleFromMigDeviceHandle, (void *device, void **card), *card = handle_of(gpu.index))

// The same of two cards.
#define PAIR_QUERY(name, parameters, ...) CARD_QUERY(name, parameters, { \
    struct gpu other;                                                   \
    if ((result = look(peer, &other))) return result;                   \
    if (other.instance >= 0) return NOT_SUPPORTED;                      \
    __VA_ARGS__;                                                        \
})
PAIR_QUERY(nvmlDeviceGetP2PStatus, (void *device, void *peer, unsigned what, unsigned *status), {
    if (gpu.no_p2p || other.no_p2p || gpu.mig == 1 || other.mig == 1) return NOT_SUPPORTED;
    bool linked = state.linked[gpu.index][other.index] || (gpu.nvswitch && other.nvswitch);
    *status = what == 2 /* by NVLink */ && linked ? 0 : 5;
})
PAIR_QUERY(nvmlDeviceGetTopologyCommonAncestor, (void *device, void *peer, unsigned *level), {
    if (!state.common[gpu.index][other.index]) return NOT_SUPPORTED;
    *level = state.common[gpu.index][other.index] - 1;
})
CARD_QUERY(nvmlDeviceGetCpuAffinityWithinScope, (void *device, unsigned size, unsigned long *cores, unsigned scope), {
    (void)scope;
    if (!gpu.cores || !size) return NOT_SUPPORTED;
    memset(cores, 0, size * sizeof *cores);
    *cores = gpu.cores;
})
// Its links, in the order of the cards at their ends; the first of one at a switch ends there. Others are down.
enum { LINKS = 12 };
static int end_of(const struct gpu *gpu, unsigned link) {
    if (gpu->nvswitch) return link ? -1 : MAX_GPUS;
    for (unsigned i = 0; i < state.gpu_count; i++) if (state.linked[gpu->index][i] && !link--) return i;
    return -1;
}
CARD_QUERY(nvmlDeviceGetNvLinkState, (void *device, unsigned link, unsigned *active), {
    if (end_of(&gpu, 0) < 0) return NOT_SUPPORTED;
    if (link >= LINKS) return INVALID;
    *active = end_of(&gpu, link) >= 0;
})
CARD_QUERY(nvmlDeviceGetNvLinkRemotePciInfo_v2, (void *device, unsigned link, struct pci *pci), {
    int end = link < LINKS ? end_of(&gpu, link) : -1;
    if (end < 0) return INVALID;
    *pci = (struct pci){.bus = end + 1, .id = end == MAX_GPUS ? 0x22A310DE : 0x268410DE};
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", end + 1);
})
CARD_QUERY(nvmlDeviceGetNvLinkRemoteDeviceType, (void *device, unsigned link, unsigned *type), {
    int end = link < LINKS ? end_of(&gpu, link) : -1;
    if (end < 0) return INVALID;
    *type = end == MAX_GPUS ? 2 /* a switch */ : 0 /* a GPU */;
})

// Two calls: the first, with no room, is told how much there is; none is a success at once.
static int list(struct process *from, unsigned there, unsigned *count, struct process *to) {
    unsigned room = *count;
    *count = there;
    if (room < there) return TOO_SMALL;
    if (to) memcpy(to, from, there * sizeof *to);
    return OK;
}
QUERY(nvmlDeviceGetComputeRunningProcesses_v3, (void *device, unsigned *count, struct process *to),
      return list(gpu.processes, gpu.process_count, count, to))
QUERY(nvmlDeviceGetComputeRunningProcesses_v2, (void *device, unsigned *count, struct process *to),
      return list(gpu.processes, gpu.process_count, count, to))
QUERY(nvmlDeviceGetGraphicsRunningProcesses_v3, (void *device, unsigned *count, struct process *to), (void)to; *count = 0)
QUERY(nvmlDeviceGetMPSComputeRunningProcesses_v3, (void *device, unsigned *count, struct process *to),
      return list(gpu.mps, gpu.mps_count, count, to))
QUERY(nvmlDeviceGetMPSComputeRunningProcesses_v2, (void *device, unsigned *count, struct process *to),
      return list(gpu.mps, gpu.mps_count, count, to))
// The real one always asks for room for 100 samples, tells only who did something since then, and says "not found"
// when nobody did.
CARD_QUERY(nvmlDeviceGetProcessUtilization, (void *device, struct sample *to, unsigned *count, unsigned long long since), {
    enum { ROOM = 100 };
    if (gpu.mig == 1) return NOT_SUPPORTED;
    if (gpu.no_size) return *count = 0, OK;
    if (!to) return *count = ROOM, TOO_SMALL;
    if (*count < ROOM) return TOO_SMALL;
    uint64_t now = microseconds();
    if (!gpu.sample_count)
        for (; gpu.util && gpu.sample_count < gpu.process_count; gpu.sample_count++)
            gpu.samples[gpu.sample_count] =
                (struct sample){gpu.processes[gpu.sample_count].pid, 0, gpu.util / gpu.process_count, 0, 0, 0};
    *count = 0;
    for (unsigned i = 0; i < gpu.sample_count; i++) {
        struct sample sample = gpu.samples[i];
        if (!sample.time) sample.time = now;
        if (sample.time > since) to[(*count)++] = sample;
    }
    if (gpu.garbage) {
        to[(*count)++] = (struct sample){0, now, 50, 0, 0, 0};
        to[(*count)++] = (struct sample){UINT32_MAX, now, 50, 0, 0, 0};
        to[(*count)++] = (struct sample){gpu.processes[0].pid, now + 1, 3000000, 0, 0, 0};
        to[(*count)++] = (struct sample){gpu.processes[0].pid, now * 2, 99, 0, 0, 0};
        to[(*count)++] = (struct sample){gpu.processes[0].pid, 1, 98, 0, 0, 0};
    }
    if (!*count) return NOT_FOUND;
})

EXPORT int nvmlEventSetCreate(struct event_set **set) { return (*set = calloc(1, sizeof **set)) ? OK : 999; }
EXPORT int nvmlEventSetFree(struct event_set *set) { return free(set), OK; }
// As on a real GPU, what happened before nobody listened is not told.
CARD_QUERY(nvmlDeviceRegisterEvents, (void *device, unsigned long long types, struct event_set *set), {
    (void)types;
    if (gpu.no_events) return NOT_SUPPORTED;
    pthread_mutex_lock(&lock);
    set->gpus |= 1ULL << gpu.index, set->seen[gpu.index] = state.xid_count;
    pthread_mutex_unlock(&lock);
})
EXPORT int nvmlEventSetWait_v2(struct event_set *set, struct event *event, unsigned timeout_ms) {
    for (unsigned waited = 0;; waited += POLL_MS, nap()) {
        pthread_mutex_lock(&lock);
        refresh();
        for (unsigned i = 0; i < state.xid_count; i++) {
            struct xid xid = state.xids[i];
            unsigned *seen = &set->seen[xid.gpu];
            // A file with fewer events than before is a new story.
            if (*seen > state.xid_count) *seen = 0;
            if (i < *seen || !(set->gpus >> xid.gpu & 1)) continue;
            *seen = i + 1;
            pthread_mutex_unlock(&lock);
            unsigned instance = xid.instance < 0 ? UINT32_MAX : (unsigned)xid.instance;
            *event = (struct event){handle_of(xid.gpu), 8 /* XidCriticalError */, xid.code, instance, UINT32_MAX};
            return OK;
        }
        // One that fell off and came back is not the one that was registered.
        for (unsigned i = 0; i < state.gpu_count; i++)
            if (state.gpus[i].lost) set->gpus &= ~(1ULL << i);
        pthread_mutex_unlock(&lock);
        if (!users) return UNINITIALIZED;
        if (waited >= timeout_ms) return TIMEOUT;
    }
}
