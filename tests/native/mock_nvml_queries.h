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
EXPORT int nvmlDeviceGetHandleByUUID(const char *uuid, void **handle) {
    unsigned count;
    struct gpu gpu;
    int result = nvmlDeviceGetCount_v2(&count);
    for (unsigned i = 0; !result && i < count; i++) {
        result = nvmlDeviceGetHandleByIndex_v2(i, handle);
        if (look(*handle, &gpu) != INVALID && !strcmp(gpu.uuid, uuid)) return result;
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

QUERY(nvmlDeviceGetUUID, (void *device, char *to, unsigned size), return put(to, size, gpu.uuid))
QUERY(nvmlDeviceGetName, (void *device, char *to, unsigned size), return put(to, size, gpu.name))
QUERY(nvmlDeviceGetIndex, (void *device, unsigned *index), *index = gpu.index)
// On purpose not the index: on real machines the two differ, too.
QUERY(nvmlDeviceGetMinorNumber, (void *device, unsigned *minor), *minor = state.gpu_count - 1 - gpu.index)
QUERY(nvmlDeviceGetPciInfo_v3, (void *device, struct pci *pci), {
    *pci = (struct pci){.bus = gpu.index + 1, .id = 0x268410DE};
    snprintf(pci->legacy, sizeof pci->legacy, "0000:%02X:00.0", gpu.index + 1);
    snprintf(pci->bus_id, sizeof pci->bus_id, "00000000:%02X:00.0", gpu.index + 1);
})
QUERY(nvmlDeviceGetMemoryInfo, (void *device, struct memory *memory),
      *memory = ((struct memory){gpu.total, gpu.total - gpu.used, gpu.used}))
QUERY(nvmlDeviceGetMemoryInfo_v2, (void *device, struct memory_v2 *memory), {
    if (memory->version != 0x02000028) return VERSION;
    *memory = (struct memory_v2){memory->version, gpu.total, 0, gpu.total - gpu.used, gpu.used};
})
QUERY(nvmlDeviceGetUtilizationRates, (void *device, struct utilization *rates),
      *rates = ((struct utilization){gpu.util, gpu.total ? gpu.used * 100 / gpu.total : 0}))
QUERY(nvmlDeviceGetTemperature, (void *device, unsigned sensor, unsigned *celsius), (void)sensor; *celsius = gpu.celsius)
QUERY(nvmlDeviceGetTemperatureV, (void *device, struct temperature *temperature), {
    if (temperature->version != 0x0100000C) return VERSION;
    temperature->celsius = gpu.celsius;
})
QUERY(nvmlDeviceGetPowerUsage, (void *device, unsigned *milliwatt), *milliwatt = gpu.milliwatt)
QUERY(nvmlDeviceGetEnforcedPowerLimit, (void *device, unsigned *milliwatt), *milliwatt = 450000)
QUERY(nvmlDeviceGetTotalEnergyConsumption, (void *device, unsigned long long *millijoule), {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    *millijoule = (now.tv_sec + now.tv_nsec / 1e9) * gpu.milliwatt;
})
QUERY(nvmlDeviceGetFanSpeed, (void *device, unsigned *percent), *percent = 30)
QUERY(nvmlDeviceGetTotalEccErrors, (void *device, unsigned uncorrected, unsigned counter, unsigned long long *count),
      (void)counter; *count = gpu.ecc[uncorrected != 0])
QUERY(nvmlDeviceGetRemappedRows, (void *device, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed),
      *corrected = gpu.remap[0]; *uncorrected = gpu.remap[1]; *pending = gpu.remap[2]; *failed = gpu.remap[3])
QUERY(nvmlDeviceGetCurrentClocksEventReasons, (void *device, unsigned long long *reasons), *reasons = 0)
QUERY(nvmlDeviceGetMigMode, (void *device, unsigned *current, unsigned *pending), {
    if (gpu.mig < 0) return NOT_SUPPORTED;
    *current = *pending = gpu.mig;
})

// Two calls: the first, with no room, is told how much there is; none is a success at once.
QUERY(nvmlDeviceGetComputeRunningProcesses_v3, (void *device, unsigned *count, struct process *to), {
    unsigned room = *count;
    *count = gpu.process_count;
    if (room < gpu.process_count) return TOO_SMALL;
    if (to) memcpy(to, gpu.processes, gpu.process_count * sizeof *to);
})
QUERY(nvmlDeviceGetGraphicsRunningProcesses_v3, (void *device, unsigned *count, struct process *to), (void)to; *count = 0)
QUERY(nvmlDeviceGetMPSComputeRunningProcesses_v3, (void *device, unsigned *count, struct process *to), (void)to; *count = 0)
// The real one always asks for room for 100 samples, and says "not found" on an idle GPU.
QUERY(nvmlDeviceGetProcessUtilization, (void *device, struct sample *to, unsigned *count, unsigned long long since), {
    if (!to) return *count = 100, TOO_SMALL;
    if (!gpu.process_count) return NOT_FOUND;
    if (*count < gpu.process_count) return TOO_SMALL;
    *count = gpu.process_count;
    for (unsigned i = 0; i < *count; i++)
        to[i] = (struct sample){gpu.processes[i].pid, since + 1, gpu.util / *count, 0, 0, 0};
})

EXPORT int nvmlEventSetCreate(struct event_set **set) { return (*set = calloc(1, sizeof **set)) ? OK : 999; }
EXPORT int nvmlEventSetFree(struct event_set *set) { return free(set), OK; }
// As on a real GPU, what happened before nobody listened is not told.
QUERY(nvmlDeviceRegisterEvents, (void *device, unsigned long long types, struct event_set *set),
      (void)types; set->gpus |= 1ULL << gpu.index; set->seen = state.xid_count)
EXPORT int nvmlEventSetWait_v2(struct event_set *set, struct event *event, unsigned timeout_ms) {
    for (unsigned waited = 0;; waited += POLL_MS, nap()) {
        pthread_mutex_lock(&lock);
        refresh();
        // A file with fewer events than before is a new story.
        if (set->seen > state.xid_count) set->seen = 0;
        while (set->seen < state.xid_count) {
            struct xid xid = state.xids[set->seen++];
            if (!(set->gpus >> xid.gpu & 1)) continue;
            pthread_mutex_unlock(&lock);
            *event = (struct event){handle_of(xid.gpu), 8 /* XidCriticalError */, xid.code, UINT32_MAX, UINT32_MAX};
            return OK;
        }
        pthread_mutex_unlock(&lock);
        if (!users) return UNINITIALIZED;
        if (waited >= timeout_ms) return TIMEOUT;
    }
}
