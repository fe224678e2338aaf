package app_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browserTime bounds a whole test in the browser, on a machine that is busy with
// other things.
const browserTime = 5 * time.Minute

// browser is Debian's Chromium with one page open, and what it complains about.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex
	complaints []string
}

// chromium starts the browser. Without one the test is skipped, and fails where
// SWITCHYARD_REQUIRE_SERVERS=1 is set.
func chromium(t *testing.T) *browser {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("SWITCHYARD_REQUIRE_SERVERS") == "1" {
			t.Fatal("chromium is not installed, and SWITCHYARD_REQUIRE_SERVERS=1 asks for it")
		}
		t.Skip("chromium is not installed: apt-get install chromium")
	}
	// The sandbox needs more than a container gives; the pages are our own.
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.UserDataDir(t.TempDir()), chromedp.WSURLReadTimeout(browserTime))
	ctx, cancel := context.WithTimeout(context.Background(), browserTime)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, opts...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil {
		t.Fatalf("start %s: %v", path, err)
	}
	return b
}

// hear notes errors of scripts, and what the browser refuses to load or run.
func (b *browser) hear(ev any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := ev.(type) {
	case *runtime.EventConsoleAPICalled:
		b.complaints = append(b.complaints, fmt.Sprintf("console.%s", e.Type))
	case *runtime.EventExceptionThrown:
		b.complaints = append(b.complaints, "exception: "+e.ExceptionDetails.Text)
	case *log.EventEntryAdded:
		b.complaints = append(b.complaints, fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
	}
}

// said takes what the browser has complained about so far.
func (b *browser) said() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	said := b.complaints
	b.complaints = nil
	return said
}

func (b *browser) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, steps...); err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// is waits until an expression is true on the page, also on the one that the browser
// is about to go to.
func (b *browser) is(what, expression string) {
	b.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool](expression)) // fails between two pages
		if ok && err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			b.t.Fatalf("%s: %v, at last %v", what, b.ctx.Err(), err)
		}
	}
}

// held is a state machine whose task ends when a file appears.
const held = `{"StartAt": "Hold", "States": {
  "Hold": {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:hold", "Next": "Done"},
  "Done": {"Type": "Succeed"}}}`

func TestDashboardInABrowser(t *testing.T) {
	b := chromium(t)
	release := filepath.Join(t.TempDir(), "release")
	hold := fmt.Sprintf(`[sh, -c, "while [ ! -e %s ]; do sleep 0.1; done; cat"]`, release)
	s := startWith(t, t.TempDir(), strings.Replace(fmt.Sprintf(settings, secret), "{exec: [cat]}}", "{exec: [cat]}, hold: {exec: "+hold+"}}", 1), held)
	link, err := s.client.SignInLink(t.Context(), "ada", "operator")
	if err != nil {
		t.Fatal(err)
	}
	base := "http://" + s.Addr().String()
	b.do("sign in", chromedp.Navigate(link.Link), chromedp.Click("button.main"), chromedp.WaitVisible("#tracks"))

	// A push appears, and what becomes of it, without the page being loaded again.
	b.do("mark the page", chromedp.Evaluate[chromedp.Void](`window.sameDocument = true; void 0`))
	const hostile = `<img src=x onerror="console.log(1)"><script>console.log(2)</script>`
	s.deliver(t, "d-1", push(`feature/<script>console.log("3")</script>`, "hold "+hostile))
	b.is("a commit appears", `document.querySelector(".runs .running a") !== null`)
	b.is("its page opens", `document.querySelector(".runs .running a").click() || true`)
	b.is("the state is lit", `document.querySelector('[data-state="Hold"].is-running') !== null`)
	b.do("mark the page", chromedp.Evaluate[chromedp.Void](`window.sameDocument = true; void 0`))
	b.is("a part of the page is not there yet", `document.querySelector("#timeline").remove() || true`)
	if err := os.WriteFile(release, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.is("it ends", `document.querySelector('[data-state="Done"].is-succeeded') !== null && document.querySelector("#head .headline.succeeded") !== null`)
	b.is("the part has come, where it belongs", `document.querySelector("#states + #timeline") !== null`)
	b.is("and was not loaded again", `window.sameDocument === true`)

	// What an operator does takes effect.
	b.is("it is run again", `document.querySelector('form[action$="/rerun"] button').click() || true`)
	b.is("the second attempt ends", `location.pathname.endsWith("-r2") && document.querySelector("#head .headline.succeeded") !== null`)
	ended := s.settled(t, 2)

	// Every page is whole, on a phone too, and shows what strangers wrote as text.
	for _, path := range []string{"/", "/?q=hold&state=succeeded", "/executions/" + ended[0].ID, "/deliveries", "/deliveries/github:d-1", "/environments", "/health"} {
		for _, width := range []int64{1280, 375} {
			b.do(path, chromedp.EmulateViewport(width, 800), chromedp.Navigate(base+path), chromedp.WaitVisible("h1, #tracks"))
			b.is(fmt.Sprintf("%s fits %d pixels", path, width), `document.documentElement.scrollWidth <= document.documentElement.clientWidth`)
			b.is(path+" makes no elements of texts", `document.querySelectorAll("main script, main img").length === 0`)
			b.is(path+" names its fields", `[...document.querySelectorAll("input:not([type=hidden]), select")].every((field) => field.labels.length > 0)`)
		}
	}
	for _, text := range b.said() {
		t.Error("the browser says", text)
	}

	// It would have said so: the policy stops a script that is put into a page.
	b.is("a script is put in", `document.body.append(Object.assign(document.createElement("script"), {textContent: "window.ran = true"})) || true`)
	for heard := false; !heard; {
		b.is("the script did not run", `window.ran === undefined`)
		for _, text := range b.said() {
			heard = heard || strings.Contains(text, "Content Security Policy")
		}
	}
}
