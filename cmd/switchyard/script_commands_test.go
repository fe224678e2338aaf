package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"switchyard/dispatch"
	"switchyard/internal/freeport"
)

// scriptCommands are what the scripts need beside testscript's own.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	// exits CODE program args… runs a program that must end with the code.
	"exits": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) >= 2, "exits CODE PROGRAM ARGUMENT…")
		want, err := strconv.Atoi(args[0])
		ts.Check(err)
		code := 0
		if err := ts.Exec(args[1], args[2:]...); err != nil {
			exit := new(exec.ExitError)
			if !errors.As(err, &exit) {
				ts.Fatalf("%v", err)
			}
			code = exit.ExitCode()
		}
		if code != want {
			ts.Fatalf("exit code %d, want %d", code, want)
		}
	},
	// await PATTERN program args… repeats a program until it succeeds and its
	// standard output matches.
	"await": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) >= 2, "await PATTERN PROGRAM ARGUMENT…")
		pattern, err := regexp.Compile("(?m)" + args[0])
		ts.Check(err)
		until(ts, func(int) bool {
			return ts.Exec(args[1], args[2:]...) == nil && pattern.MatchString(ts.ReadFile("stdout"))
		})
	},
	// capture NAME PATTERN sets a variable to the pattern's first group in the
	// last standard output.
	"capture": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 2, "capture NAME PATTERN")
		pattern, err := regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		match := pattern.FindStringSubmatch(ts.ReadFile("stdout"))
		if len(match) < 2 {
			ts.Fatalf("no match for %s", args[1])
		}
		ts.Setenv(args[0], match[1])
	},
	// address NAME… sets variables to addresses at which nobody listens.
	"address": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) > 0, "address NAME…")
		for _, name := range args {
			address, err := freeport.Address()
			ts.Check(err)
			ts.Setenv(name, address)
		}
	},
	// deliver URL SECRET EVENT ID FILE sends a webhook as GitHub does and
	// prints the status and the answer.
	"deliver": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 5, "deliver URL SECRET EVENT ID FILE")
		status, text := deliver(ts, args[0], args[1], args[2], args[3], args[4])
		fmt.Fprintln(ts.Stdout(), status, text)
	},
	// taken is deliver, under IDs that go on from the one given, until the answer
	// is 202.
	"taken": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 5, "taken URL SECRET EVENT ID FILE")
		until(ts, func(n int) bool {
			status, _ := deliver(ts, args[0], args[1], args[2], fmt.Sprint(args[3], "-", n), args[4])
			return status == http.StatusAccepted
		})
	},
	// answering URL waits until somebody answers there.
	"answering": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 1, "answering URL")
		until(ts, func(int) bool {
			resp, err := http.Get(args[0])
			return err == nil && resp.Body.Close() == nil
		})
	},
	// shows URL PATTERN gets a page until it matches.
	"shows": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 2, "shows URL PATTERN")
		pattern, err := regexp.Compile("(?m)" + args[1])
		ts.Check(err)
		until(ts, func(int) bool {
			resp, err := http.Get(args[0])
			ts.Check(err)
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			ts.Check(err)
			return pattern.Match(text)
		})
	},
	// ended URL JSON describes an execution until it has ended, and prints it.
	"ended": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 2, "ended URL JSON")
		until(ts, func(int) bool {
			status, text := operation(ts, args[0], "DescribeExecution", args[1])
			if status != http.StatusOK {
				ts.Fatalf("%d %s", status, text)
			}
			if strings.Contains(text, `"RUNNING"`) {
				return false
			}
			fmt.Fprintln(ts.Stdout(), text)
			return true
		})
	},
	// states URL OPERATION JSON calls a Step Functions endpoint and prints the
	// status and the answer.
	"states": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 3, "states URL OPERATION JSON")
		status, text := operation(ts, args[0], args[1], args[2])
		fmt.Fprintln(ts.Stdout(), status, text)
	},
	// check-demo FILE holds what the demo says of itself to what it promises.
	"check-demo": func(ts *testscript.TestScript, neg bool, args []string) {
		positive(ts, neg, len(args) == 1, "check-demo FILE")
		var r struct {
			Pushed, Skipped int
			Executions      []struct {
				Commit, Title, Execution string
				State                    dispatch.State
			}
		}
		ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &r))
		commits, executions, failed := map[string]bool{}, map[string]bool{}, 0
		for _, e := range r.Executions {
			commits[e.Commit], executions[e.Execution] = true, true
			if e.State == dispatch.StateFailed {
				failed++
			} else if e.State != dispatch.StateSucceeded {
				ts.Fatalf("%s is %s", e.Title, e.State)
			}
		}
		if r.Pushed == 0 || r.Pushed != len(commits) || r.Pushed != len(executions) || r.Pushed != len(r.Executions) || r.Skipped != 0 || failed != 1 {
			ts.Fatalf("pushed %d commits: %d commits ran, %d executions, %d skipped, %d failed", r.Pushed, len(commits), len(executions), r.Skipped, failed)
		}
	},
}

func positive(ts *testscript.TestScript, neg, ok bool, usage string) {
	if neg || !ok {
		ts.Fatalf("usage: %s", usage)
	}
}

// until repeats what is to become true; n counts from 0.
func until(ts *testscript.TestScript, is func(n int) bool) {
	deadline := time.Now().Add(time.Minute)
	for n := 0; !is(n); n++ {
		if time.Now().After(deadline) {
			ts.Fatalf("not so after a minute")
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func deliver(ts *testscript.TestScript, url, secret, kind, id, file string) (status int, text string) {
	body := []byte(ts.ReadFile(file))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return post(ts, url, body, map[string]string{"Content-Type": "application/json", "X-GitHub-Event": kind, "X-GitHub-Delivery": id,
		"X-Hub-Signature-256": fmt.Sprintf("sha256=%x", mac.Sum(nil))})
}

func operation(ts *testscript.TestScript, url, op, body string) (status int, text string) {
	return post(ts, url, []byte(body), map[string]string{"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AWSStepFunctions." + op})
}

func post(ts *testscript.TestScript, url string, body []byte, header map[string]string) (status int, text string) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader(body))
	ts.Check(err)
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	ts.Check(err)
	return resp.StatusCode, strings.TrimSpace(string(answer))
}
