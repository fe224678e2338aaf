package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"switchyard/config"
)

// block is what stands between two lines of ``` in a document.
type block struct {
	language, text string
	line           int
}

func blocks(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	open := false
	for i, line := range strings.Split(string(text), "\n") {
		mark, fence := strings.CutPrefix(strings.TrimLeft(line, " "), "```")
		switch {
		case fence && !open:
			open = true
			found = append(found, block{language: strings.TrimSpace(mark), line: i + 2})
		case fence:
			open = false
		case open:
			found[len(found)-1].text += line + "\n"
		}
	}
	if open {
		t.Errorf("%s: the last ``` has no end", path)
	}
	return found
}

// Every config in docs/aws.md, and those that are installed, are ones that the
// service takes.
func TestDocsConfigs(t *testing.T) {
	env := map[string]string{
		"SWITCHYARD_QUEUE":  "https://sqs.eu-west-1.amazonaws.com/123456789012/switchyard",
		"SWITCHYARD_BUCKET": "switchyard-deliveries", "GITHUB_WEBHOOK_SECRET": "secret", "GITHUB_TOKEN": "token", "SWITCHYARD_API_TOKEN": "token",
		"SWITCHYARD_SECRET": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:switchyard-AbCdEf",
	}
	check := func(path string, line int, text string) {
		_, err := config.Parse(filepath.Join(t.TempDir(), "switchyard.yaml"), []byte(text), func(name string) (string, bool) {
			v, ok := env[name]
			return v, ok
		}, config.WithoutAWSSecrets())
		if err != nil {
			t.Errorf("%s, the config from line %d:\n%v", path, line, err)
		}
	}
	const doc = "../../docs/aws.md"
	checked := 0
	for _, b := range blocks(t, doc) {
		if b.language == "yaml" {
			checked++
			check(doc, b.line, b.text)
		}
	}
	if checked == 0 {
		t.Errorf("%s has no config", doc)
	}
	installed, err := filepath.Glob("../../deploy/*/*/switchyard.yaml")
	if err != nil || len(installed) == 0 {
		t.Fatal(installed, err)
	}
	for _, path := range installed {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		check(path, 1, string(text))
	}
}

// The config that a git host's document begins with is one that the service takes,
// with whatever secrets and state machines.
func TestDocsSourceConfigs(t *testing.T) {
	files, err := filepath.Glob("../../docs/sources/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, path := range files {
		checked := 0
		for _, b := range blocks(t, path) {
			if b.language != "yaml" {
				continue
			}
			if checked++; checked > 1 {
				break // a part of one
			}
			if _, err := config.Parse("switchyard.yaml", []byte(b.text), os.LookupEnv, config.Offline()); err != nil {
				t.Errorf("%s, the config from line %d:\n%v", path, b.line, err)
			}
		}
		if checked == 0 {
			t.Errorf("%s has no config", path)
		}
	}
}

// What the document of a git host has one write down is a config that validates,
// with the state machine beside it.
func TestDocsOfHostsLeadToAConfig(t *testing.T) {
	for doc, env := range map[string]map[string]string{
		"gitea":                 {"GITEA_WEBHOOK_SECRET": "secret", "GITEA_TOKEN": "token"},
		"bitbucket":             {"BITBUCKET_WEBHOOK_SECRET": "secret", "BITBUCKET_TOKEN": "token"},
		"bitbucket-data-center": {"BITBUCKET_WEBHOOK_SECRET": "secret", "BITBUCKET_TOKEN": "token"},
	} {
		doc = "../../docs/sources/" + doc + ".md"
		dir, written := t.TempDir(), 0
		for _, b := range blocks(t, doc) {
			name := map[string]string{"yaml": "switchyard.yaml", "json": "deploy.asl.json"}[b.language]
			if name == "" {
				continue
			}
			written++
			if err := os.WriteFile(filepath.Join(dir, name), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if written != 2 {
			t.Fatalf("%s has %d files to write", doc, written)
		}
		var out, problems bytes.Buffer
		code := run(t.Context(), []string{"config", "validate", "--config", filepath.Join(dir, "switchyard.yaml")}, strings.NewReader(""), &out, &problems,
			func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		if code != exitDone {
			t.Errorf("%s: %d: %s%s", doc, code, &out, &problems)
		}
	}
}

// GitHub's document has one config with a token, and sources with an App to put in
// the place of its own.
func TestDocsOfGitHubLeadToAConfig(t *testing.T) {
	dir := t.TempDir()
	var whole, app string
	for _, b := range blocks(t, "../../docs/sources/github.md") {
		switch {
		case b.language == "json":
			if err := os.WriteFile(filepath.Join(dir, "deploy.asl.json"), []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
		case b.language == "yaml" && whole == "":
			whole = b.text
		case b.language == "yaml":
			app = b.text
		}
	}
	from, to := strings.Index(whole, "sources:\n"), strings.Index(whole, "state_machines:\n")
	if from < 0 || to < from || !strings.HasPrefix(app, "sources:\n") {
		t.Fatalf("the configs are\n%s\nand\n%s", whole, app)
	}
	if err := os.WriteFile(filepath.Join(dir, "github-app.pem"), []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"GITHUB_WEBHOOK_SECRET": "secret", "GITHUB_TOKEN": "token"}
	for way, text := range map[string]string{"token": whole, "app": whole[:from] + app + whole[to:]} {
		path := filepath.Join(dir, "switchyard.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, problems bytes.Buffer
		if code := run(t.Context(), []string{"config", "validate", "--config", path}, strings.NewReader(""), &out, &problems, func(name string) (string, bool) { v, ok := env[name]; return v, ok }); code != exitDone {
			t.Errorf("%s: %d: %s%s", way, code, &out, &problems)
		}
	}
}

// Every command in the documents is one that the program takes: its name, flags
// and number of arguments.
func TestDocsCommands(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob("../../docs/*/*.md")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, path := range append(append(files, more...), "../../README.md") {
		for _, b := range blocks(t, path) {
			if b.language != "" && b.language != "sh" && b.language != "console" {
				continue
			}
			for _, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n") {
				args := commandOf(line)
				if args == nil {
					continue
				}
				checked++
				if problem := parses(args); problem != "" {
					t.Errorf("%s, in the block from line %d: %q: %s", path, b.line, line, problem)
				}
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d commands were found", checked)
	}
}

func TestCommandOf(t *testing.T) {
	for line, want := range map[string]string{
		"switchyard serve": "serve",
		"./switchyard config validate --config a.yaml":  "config|validate|--config|a.yaml",
		"$ switchyard start --input 'a b' | jq .":       "start|--input|a b",
		"switchyard explain x.json   # what would run?": "explain|x.json",
		`switchyard start --input "$x" > out`:           "start|--input|$x",
		"cp switchyard.example.yaml switchyard.yaml":    "",
		"switchyard.yaml":                   "",
		"switchyard executions log <an id>": "executions|log|<an id>",
	} {
		if got := strings.Join(commandOf(line), "|"); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

var word = regexp.MustCompile(`'[^']*'|"[^"]*"|(?:<[^>]*>|\S)+`)

// commandOf are the arguments of a line that calls the program; nil for others.
func commandOf(line string) []string {
	words := word.FindAllString(strings.TrimPrefix(strings.TrimSpace(line), "$ "), -1)
	if len(words) == 0 || words[0] != "switchyard" && words[0] != "./switchyard" {
		return nil
	}
	var args []string
	for _, w := range words[1:] {
		if strings.ContainsAny(w[:1], "|>#&;") {
			break
		}
		args = append(args, strings.Trim(w, `'"`))
	}
	return args
}

// parses says why the program would not take the arguments, without running it.
func parses(args []string) string {
	none := func(string) (string, bool) { return "", false }
	root := newCLI(strings.NewReader(""), &bytes.Buffer{}, &bytes.Buffer{}, none).root()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	if cmd.HasSubCommands() && !cmd.LocalFlags().HasFlags() { // a group; engine is a command too
		return "a command is missing or not known after " + cmd.CommandPath()
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err.Error()
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err.Error()
	}
	if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
		return err.Error()
	}
	return ""
}

func TestCommandsThatDoNotParse(t *testing.T) {
	for _, line := range []string{"switchyard", "switchyard serv", "switchyard config", "switchyard serve --confg x", "switchyard serve extra"} {
		if parses(commandOf(line)) == "" {
			t.Errorf("%q is taken", line)
		}
	}
}
