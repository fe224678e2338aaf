package deploy_test

import (
	"os"
	"strings"
	"testing"
)

// The unit sets nothing that ends local builds before they begin, and what builds
// and the journal rely on.
func TestUnitLeavesBuildsTheirNamespaces(t *testing.T) {
	text, err := os.ReadFile("systemd/switchyard.service")
	if err != nil {
		t.Fatal(err)
	}
	unit := map[string]string{}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			unit[key] = value
		}
	}
	for key, why := range map[string]string{
		"ProtectKernelTunables":  "the kernel refuses a namespace a /proc of its own while /proc/sys outside is read-only",
		"ProtectKernelLogs":      "the same, while /proc/kmsg is hidden",
		"ProtectProc":            "the same, while processes are hidden",
		"ProcSubset":             "the same, while all but processes is hidden",
		"ProtectHostname":        "it refuses sethostname, which bubblewrap calls",
		"ProtectControlGroups":   "builds have cgroups below the delegated one",
		"PrivateUsers":           "bubblewrap makes a user namespace of its own",
		"RestrictNamespaces":     "bubblewrap makes namespaces",
		"RestrictSUIDSGID":       "builds unpack archives with such modes",
		"MemoryDenyWriteExecute": "builds run programs that compile at run time",
	} {
		if value, set := unit[key]; set {
			t.Errorf("%s=%s: %s", key, value, why)
		}
	}
	for key, want := range map[string]string{
		"User": "switchyard", "StateDirectory": "switchyard", "Delegate": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
		"OOMPolicy": "continue", // systemd would stop the service for a build that ran out of memory
		"KillMode":  "mixed",    // the service ends its builds itself, to run them again
	} {
		if unit[key] != want {
			t.Errorf("%s is %q, want %q", key, unit[key], want)
		}
	}
}
