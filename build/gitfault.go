//go:build unix

package build

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"switchyard/internal/fault"
)

// gitError is a command of git that failed, with what it wrote.
type gitError struct{ command, text string }

func (e *gitError) Error() string { return "git " + e.command + ": " + e.text }

// Git has one exit status for all that can go wrong, so its words (in the C
// locale), and those of curl and ssh that it passes on, are all there is to
// tell by. The table in docs/builds.md says the same.
var (
	// machineWords tell of this machine.
	machineWords = []string{
		"no space left on device", "disk quota exceeded", "too many open files", "cannot allocate memory",
		"out of memory", "resource temporarily unavailable", "input/output error", "read-only file system",
		"stale file handle", "unable to create thread", "cannot fork",
	}
	// commitWords are a verdict about the commit by a repository that answers.
	commitWords = []string{"not our ref", "couldn't find remote ref", "no such remote ref"}
	// refusedWords mean a wrong address or credentials; while a repository is
	// moved, restored or its token renewed they mean little.
	refusedWords = []string{
		"does not appear to be a git repository", "repository not found", "' not found",
		"returned error: 401", "returned error: 403", "returned error: 404", "returned error: 410",
		"authentication failed", "could not read username", "could not read password",
		"permission denied", "access denied", "terminal prompts disabled",
	}
	// awayWords mean that the host can't be reached, or not now.
	awayWords = []string{
		"could not resolve", "temporary failure in name resolution", "name or service not known",
		"connection refused", "failed to connect", "couldn't connect", "unable to connect", "connection timed out",
		"operation timed out", "timed out", "timeout", "connection reset", "connection closed", "broken pipe",
		"network is unreachable", "no route to host", "network is down", "host is down",
		"hung up unexpectedly", "early eof", "unexpected eof", "unexpected disconnect", "rpc failed", "empty reply",
		"transfer closed", "operation too slow", "ssl_error_syscall", "gnutls_handshake() failed",
		"gnutls recv error", "ssl connect error", "tls connection was non-properly terminated",
		"kex_exchange_identification", "ssh_exchange_identification", "banner exchange",
		"returned error: 408", "returned error: 429", "expected flush after ref listing",
	}
	awayStatus = regexp.MustCompile(`(?i)(returned error:|http( code)?|status) 5\d\d\b`)
)

func anyOf(words []string, text string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
}

// remoteCommands are those that talk to a host.
var remoteCommands = []string{"ls-remote", "fetch"}

// judge says whether an error of git is the machine's, or of a repository that
// is away, and not the commit's.
func judge(e *gitError) error {
	text := strings.ToLower(e.text)
	switch {
	case anyOf(machineWords, text):
		return &fault.Error{Err: e}
	case !slices.Contains(remoteCommands, e.command), anyOf(commitWords, text):
		return e
	case anyOf(refusedWords, text):
		return &fault.Error{Err: e, Brief: true}
	case anyOf(awayWords, text), awayStatus.MatchString(e.text):
		return &fault.Error{Err: e}
	}
	return e
}

// damageWords are what git says of a repository whose files are not as it
// wrote them.
var damageWords = regexp.MustCompile(`(?i)is empty|corrupt|bad (object|tree|ref|config|signature|index|packed)|broken (ref|link)|` +
	`(unable to|failed to|could not) (read|parse|unpack|find) ?(sha1|tree|commit|object|blob|file|header|HEAD|[0-9a-f]{40})|` +
	`not a git repository|missing (blob|tree|commit|tag|object)|truncated|invalid (sha1 pointer|object [0-9a-f]{40}|HEAD)|` +
	`packfile|garbage at end|premature end of|does not match index|inflate|failed to traverse|not have all|wrong index|index file|non-monotonic index|unsupported index|unexpected line in .*packed-refs|unterminated line in`)

// showsDamage reports whether an error can come from a damaged repository on
// this machine.
func showsDamage(err error) bool {
	e := new(gitError)
	return errors.As(err, &e) && !anyOf(machineWords, strings.ToLower(e.text)) && damageWords.MatchString(e.text)
}
