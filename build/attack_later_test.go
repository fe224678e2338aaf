//go:build linux

package build

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// What keeps a build from having others run its programs.
const (
	serviceGit    = "git runs outside with the service's PATH, HOME and variables, never with the build's; hooks, fsmonitor, askPass and its user's configuration off"
	freshCheckout = "each build, and each retry of one, begins in a checkout of its own; git does not run in it again"
	ownScripts    = "the scripts of phases are read-only to the build"
	listedModules = "submodules come from the addresses that the config lists, and through mirrors of their own"
	masking       = "values of secrets are masked in logs and results, also where they are split over writes"
	asData        = "names, branches and messages reach git as arguments behind `--` or checked, and builds as variables"
)

// phases is a buildspec whose second phase is not the attack's to change.
func phases(second string) func(string) map[string]any {
	return func(command string) map[string]any {
		return map[string]any{"version": "0.2", "phases": map[string]any{
			"build": map[string]any{"commands": []string{command}}, "post_build": map[string]any{"commands": []string{second}}}}
	}
}

// spied is a variable of a buildspec by which programs load what it says.
func spied(name, value string) func(string) map[string]any {
	return func(command string) map[string]any {
		return map[string]any{"version": "0.2", "env": map[string]any{"variables": map[string]string{name: value}},
			"phases": map[string]any{"build": map[string]any{"commands": []string{command}}}}
	}
}

// withVariable has the task's input set a variable of the build.
func withVariable(name, value string) func(*service, *trial, input) {
	return func(s *service, _ *trial, in input) {
		in["EnvironmentVariablesOverride"] = append(in["EnvironmentVariablesOverride"].([]variable), variable{Name: name, Value: strings.ReplaceAll(value, "$OUTSIDE", s.dir)})
	}
}

// afterNext builds main of the attack's repository after the attack, and looks
// whether the service ran what was planted.
func afterNext(s *service, tr *trial) bool {
	s.runQuietly(input{"ProjectName": "app", "SourceLocationOverride": tr.repo, "SourceVersion": s.commits["main"]}, tr.name+"-next")
	return planted(s, tr)
}

// planted looks for what an attack's program writes when the service runs it:
// a file in its folder named after the attack.
func planted(s *service, tr *trial) bool {
	return exists(filepath.Join(s.dir, "home", "ran-"+fileName(tr.name)))
}

// plantedBy is a script that plants a program, which is to write the file.
func ran(name string) string {
	return "echo planted > $OUTSIDE/home/ran-" + fileName(name)
}

var laterAttacks = []attack{
	{name: "script of the next phase", stop: ownScripts, script: `for s in ../scripts/*; do echo true >> $s || exit 1; done`},
	{name: "script of the next phase, replaced", stop: ownScripts, script: `cd ..; mv scripts away && mkdir scripts`},
	{name: "result of the next phase, through the first process", stop: ownFirst, spec: phases("false"), inside: answerForFirst,
		got:      func(_ *service, tr *trial) bool { return strings.Contains(tr.b.phases(), "POST_BUILD=SUCCEEDED") },
		gap:      "a build is not kept from itself: what one phase runs can change what the next one does and says",
		harmless: "without isolation no process of ours passes results on"},
	{name: "memory of the build's first process", stop: ownFirst, script: `test -r /proc/1/mem && grep -q . /proc/1/maps`,
		gap: "a build is not kept from itself: what one phase runs can change what the next one does and says"},
	{name: "hook of the checkout in a retry", stop: freshCheckout, harmless: "hooks are off, with or without isolation", got: planted,
		spec: func(command string) map[string]any {
			return map[string]any{"version": "0.2", "phases": map[string]any{"build": map[string]any{"on-failure": "RETRY-1", "commands": []string{command, "false"}}}}
		},
		script: `mkdir -p .git/hooks; for h in post-checkout pre-commit reference-transaction; do echo '#!/bin/sh
` + ran("hook of the checkout in a retry") + `' > .git/hooks/$h; chmod +x .git/hooks/$h; done; git config core.hooksPath $PWD/.git/hooks`},
	{name: "fsmonitor of the checkout in a retry", stop: freshCheckout, harmless: "a retry has a checkout of its own, with or without isolation", got: planted,
		spec: func(command string) map[string]any {
			return map[string]any{"version": "0.2", "phases": map[string]any{"build": map[string]any{"on-failure": "RETRY-1", "commands": []string{command, "false"}}}}
		},
		script: `git config core.fsmonitor "` + ran("fsmonitor of the checkout in a retry") + `; :"; git config core.sshCommand "` + ran("fsmonitor of the checkout in a retry") + `"`},
	{name: "filter in the configuration of the service's git", stop: serviceGit, mirror: true,
		harmless: "git runs without its user's configuration, with or without isolation",
		files:    map[string]string{".gitattributes": "said filter=evil\n"},
		script:   `git config --file $OUTSIDE/home/.gitconfig filter.evil.smudge "` + ran("filter in the configuration of the service's git") + `; cat"`,
		got: func(s *service, tr *trial) bool {
			s.runQuietly(input{"ProjectName": "app", "SourceLocationOverride": tr.repo, "SourceVersion": s.commits[tr.name], "BuildspecOverride": trueSpec}, tr.name+"-next")
			return planted(s, tr)
		}},
	{name: "git of the build in its PATH", stop: serviceGit, mirror: true, got: afterNext, harmless: "the service has a PATH of its own, with or without isolation",
		spec:   spied("PATH", "./bin:/usr/bin:/bin:/usr/sbin:/sbin"),
		script: `mkdir -p bin $HOME/bin; printf '#!/bin/sh\n` + ran("git of the build in its PATH") + `\n' > bin/git; chmod +x bin/git; cp bin/git $HOME/bin/git`},
	{name: "variables for the loader (LD_DEBUG_OUTPUT)", stop: ownVariables, script: `true`, with: func(s *service, tr *trial, in input) {
		withVariable("LD_DEBUG", "libs")(s, tr, in)
		withVariable("LD_DEBUG_OUTPUT", "$OUTSIDE/home/loaded")(s, tr, in)
	}, got: func(s *service, _ *trial) bool {
		found, _ := filepath.Glob(filepath.Join(s.dir, "home/loaded*"))
		return len(found) > 0
	}},
	{name: "library for programs outside (LD_PRELOAD)", stop: ownVariables, script: `true`, with: withVariable("LD_PRELOAD", "$OUTSIDE/home/evil.so"),
		got: func(s *service, tr *trial) bool {
			// Programs that are not isolated say that they can't load it.
			before, _, _ := strings.Cut(tr.b.log, "entering phase BUILD")
			return strings.Contains(before, "evil.so")
		}, harmless: "what runs before the build's shells gets none of its variables, with or without isolation"},
	{name: "start-up files of shells outside (BASH_ENV, ENV)", stop: ownVariables, mirror: true, got: afterNext, script: `true`,
		with: func(s *service, tr *trial, in input) {
			s.plant("evil.sh", ran(tr.name)+"\n")
			withVariable("BASH_ENV", "$OUTSIDE/evil.sh")(s, tr, in)
			withVariable("ENV", "$OUTSIDE/evil.sh")(s, tr, in)
		}, harmless: "the build's own shells alone get its variables, with or without isolation"},
	{name: "variables of git for the service's git", stop: serviceGit, mirror: true, got: afterNext, script: `git --version`, with: func(s *service, tr *trial, in input) {
		withVariable("GIT_SSH_COMMAND", ran(tr.name))(s, tr, in)
		withVariable("GIT_EXTERNAL_DIFF", ran(tr.name))(s, tr, in)
		withVariable("GIT_CONFIG_GLOBAL", "$OUTSIDE/evil.gitconfig")(s, tr, in)
	}, harmless: "the service's git has variables of its own, with or without isolation"},
	submodule("submodule from a folder of this machine", "$PRIVATE"),
	submodule("submodule from a file: address of this machine", "file://$PRIVATE"),
	submodule("submodule from a relative path", "../../../../../../../../../..$PRIVATE"),
	submodule("submodule whose address is an option", "--upload-pack=echo planted >$OUTSIDE/home/ran-submodule-whose-address-is-an-option"),
	submodule("submodule whose address is a command", "ext::sh -c 'echo planted >$OUTSIDE/home/ran-submodule-whose-address-is-a-command'"),
	{name: "secret printed as it is", stop: masking, script: `echo "$PASSWORD"`, got: leaks("password"), with: withSecret, harmless: "secrets are masked, with or without isolation"},
	{name: "secret split over writes", stop: masking, script: `p=$PASSWORD; while [ -n "$p" ]; do printf %.3s "$p"; p=${p#???}; sleep .002; done`, got: leaks("password"), with: withSecret, harmless: "secrets are masked, with or without isolation"},
	{name: "secret in an error", stop: masking, script: `true`, got: func(s *service, tr *trial) bool {
		return strings.Contains(tr.b.messages(), canary("password", s.nonce))
	}, with: withSecret, harmless: "secrets are masked, with or without isolation"},
	{name: "secret in an exported variable", stop: masking, script: `true`, with: withSecret, harmless: "secrets are masked, with or without isolation",
		spec: func(command string) map[string]any {
			return map[string]any{"version": "0.2", "env": map[string]any{"exported-variables": []string{"PASSWORD", "COPY"}},
				"phases": map[string]any{"build": map[string]any{"commands": []string{"COPY=x$PASSWORD", command}}}}
		},
		got: func(s *service, tr *trial) bool {
			for _, v := range tr.b.result.ExportedEnvironmentVariables {
				if strings.Contains(v.Value, canary("password", s.nonce)) {
					return true
				}
			}
			return false
		}},
	{name: "secret written backwards", stop: "nothing: who is given a secret can tell it", script: `echo "$PASSWORD" | rev`, with: withSecret,
		got: func(s *service, tr *trial) bool {
			return strings.Contains(tr.b.log, reversed(canary("password", s.nonce)))
		},
		gap: "a build can print what it is given in a way that masking does not recognise"},
	{name: "branch that is a command", stop: asData, early: true, script: `true`, got: afterRefused("$(touch planted)"), harmless: "versions are checked, with or without isolation", with: asVersion("feature/$(echo planted>$HOME/planted)")},
	{name: "branch that is an option", stop: asData, early: true, script: `true`, got: afterRefused("--upload-pack"), harmless: "versions are checked, with or without isolation", with: asVersion("--upload-pack=touch${IFS}planted")},
	{name: "message that is a command", stop: asData, script: `git log -1 --format=%s; echo "$MESSAGE"`, got: planted, harmless: "a variable's value is data, with or without isolation",
		with: withVariable("MESSAGE", "x$(touch $OUTSIDE/home/ran-message-that-is-a-command)`touch $OUTSIDE/home/ran-message-that-is-a-command`\n'; touch $OUTSIDE/home/ran-message-that-is-a-command")},
}

// ownFirst is what is not so.
const ownFirst = "the first process of a build's namespaces is out of the build's reach"

// submodule is a commit with a submodule from elsewhere than the config lists.
func submodule(name, url string) attack {
	return attack{name: name, stop: listedModules, early: true, script: `cat m/secret`,
		files: map[string]string{".gitmodules": "[submodule \"m\"]\n\tpath = m\n\turl = " + url + "\n", "m": "submodule"},
		with:  func(_ *service, _ *trial, in input) { in["ProjectName"] = "modules" },
		got: func(s *service, tr *trial) bool {
			return leaks("private")(s, tr) || planted(s, tr) || !strings.Contains(tr.b.messages(), "submodule")
		},
		harmless: "submodules come from listed addresses only, with or without isolation"}
}

// answerForFirst says that the command at hand has ended with 0 while it runs:
// what it ends with is then the result of the next.
func answerForFirst() error {
	written := false
	found, _ := filepath.Glob("/proc/1/fd/*")
	for _, path := range found {
		// Not what is no pipe, and not what the build prints to.
		if n := filepath.Base(path); n == "0" || n == "1" || n == "2" {
			continue
		}
		if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
			_, err = f.WriteString("0\n")
			written = written || err == nil
			f.Close()
		}
	}
	time.Sleep(200 * time.Millisecond)
	return wants(written, "there is nothing to write to")
}

func withSecret(s *service, _ *trial, in input) {
	in["EnvironmentVariablesOverride"] = append(in["EnvironmentVariablesOverride"].([]variable), variable{Name: "PASSWORD", Value: "password", Type: secretsManager})
}

func asVersion(version string) func(*service, *trial, input) {
	return func(_ *service, _ *trial, in input) { in["SourceVersion"] = version }
}

// afterRefused looks for a file that the service's shell or git would have made.
func afterRefused(string) func(*service, *trial) bool {
	return func(s *service, _ *trial) bool {
		found, _ := filepath.Glob(filepath.Join(s.dir, "home/planted*"))
		_, err := os.Stat("planted")
		return len(found) > 0 || err == nil
	}
}

func reversed(text string) string {
	b := []byte(text)
	for i := range len(b) / 2 {
		b[i], b[len(b)-1-i] = b[len(b)-1-i], b[i]
	}
	return string(b)
}
