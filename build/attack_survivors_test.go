//go:build linux

package build

import "syscall"

const (
	diesWithIt  = "the build's PID namespace ends with the build, and all that is in it"
	notWaited   = "the end of a build is not the end of its output: nobody waits for who holds it"
	endedByMark = "a process that keeps its environment, parent or session is found by it, with or without isolation"
)

// leaves is an attack that leaves a process behind.
func leaves(name, script, harmless string) attack {
	return attack{name: name, stop: diesWithIt, before: withSleep, script: script, got: survives, harmless: harmless}
}

// away runs a command without environment and session, its parent gone: what
// the end of a build without isolation does not find.
const away = `env -i PATH="$PATH" setsid sh -c '`

var survivorAttacks = []attack{
	leaves("process in a session of its own, without environment", away+`sleep '$SLEEP' >/dev/null 2>&1 &'`, ""),
	leaves("double fork", `(env -i PATH="$PATH" setsid sh -c '(sleep '$SLEEP' &) &' >/dev/null 2>&1 &); sleep .05`, ""),
	leaves("process that ignores SIGTERM", away+`trap "" TERM HUP INT; sleep '$SLEEP' >/dev/null 2>&1 &'`, ""),
	leaves("stopped process", away+`trap "" HUP; sleep '$SLEEP' >/dev/null 2>&1 & sleep .1; kill -STOP $!'`, ""),
	leaves("process in namespaces of its own", away+`unshare -Urpf sleep '$SLEEP' >/dev/null 2>&1 &'; sleep .1`, ""),
	leaves("process that holds the log's pipe", away+`sleep '$SLEEP' &'`, ""),
	leaves("process of another name", away+`exec sleep '$SLEEP' >/dev/null 2>&1' & sleep .05`, ""),
	leaves("process that forks again and again", away+`while :; do sleep '$SLEEP' & sleep .2; kill $!; done >/dev/null 2>&1 &'; sleep .1`, ""),
	leaves("child in the background", `sleep $SLEEP >/dev/null 2>&1 &`, endedByMark),
	leaves("nohup", `nohup sleep $SLEEP >/dev/null 2>&1 &`, endedByMark),
	leaves("session of its own", `setsid sleep $SLEEP >/dev/null 2>&1 &`, endedByMark),
	leaves("coprocess of the next phase", `sleep $SLEEP >/dev/null 2>&1 & disown 2>/dev/null || :`, endedByMark),
	{name: "job for later in the user's crontab", stop: ownFiles, script: `mkdir -p $OUTSIDE/home/spool && echo "* * * * * planted" > $OUTSIDE/home/spool/cron`, got: changes("home/spool/cron")},
	{name: "unit for later of the user's systemd", stop: ownFiles, script: `mkdir -p $OUTSIDE/home/.config/systemd/user && echo planted > $OUTSIDE/home/.config/systemd/user/x.service`, got: changes("home/.config/systemd/user/x.service")},
	{name: "build that does not end while the log's pipe is held", stop: notWaited, before: withSleep, script: `sleep $SLEEP &`, got: tookLong,
		harmless: "the pipe is not waited for, with or without isolation"},
}

func killNow(pid int) error { return syscall.Kill(pid, syscall.SIGKILL) }
