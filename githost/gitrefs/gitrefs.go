// Package gitrefs lists the branches of a repository as git itself does, over
// HTTP.
//
// A host's API pages through branches a hundred at a time, each page a call that
// counts, while others push between the pages. Git's own protocol answers with
// one moment's truth of all branches, on every host, to the credentials that
// clone the repository.
//
// The format is that of gitprotocol-http and gitprotocol-v2 of git's
// documentation. A server that only speaks an older version lists all refs, of
// which the branches are kept.
package gitrefs

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

const (
	branchPrefix = "refs/heads/"
	// maxRefs and maxAnswer bound what is read of a server's answer.
	maxRefs   = 1 << 20
	maxAnswer = 256 << 20
	// maxError is how many bytes of a server's own words are shown.
	maxError = 300
)

// List returns the full names of a repository's branches with their commits, in
// hex. cloneURL is an http or https URL; user and password are what it is cloned
// with, both empty for none; without a user the password is a token that is sent as
// a bearer. They go to no other host: a redirect leads elsewhere
// only within its host.
//
// Errors are those of [dispatch.Host].
func List(ctx context.Context, transport http.RoundTripper, cloneURL, user, password string) (map[string]string, error) {
	base, err := url.Parse(cloneURL)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("%q is not the http or https URL of a repository", safetext.Cut(safetext.Line(cloneURL), maxError))}
	}
	l := lister{client: &http.Client{Transport: transport, CheckRedirect: sameHost}, base: strings.TrimRight(base.String(), "/"), user: user, password: password}
	refs, err := l.list(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("list the branches of %s: %w", cloneURL, ctx.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("list the branches of %s: %w", cloneURL, err)
	}
	return refs, nil
}

func sameHost(r *http.Request, via []*http.Request) error {
	if r.URL.Host != via[0].URL.Host || r.URL.Scheme != via[0].URL.Scheme {
		return fmt.Errorf("the server sends us on to another host, %s; set its address", safetext.Cut(safetext.Line(r.URL.Host), maxError))
	}
	if len(via) > 4 {
		return errors.New("the server sends us on and on")
	}
	return nil
}

type lister struct {
	client         *http.Client
	base           string
	user, password string
}

func (l *lister) list(ctx context.Context) (map[string]string, error) {
	const advertisement = "/info/refs?service=git-upload-pack"
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.base+advertisement, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := l.do(r, "application/x-git-upload-pack-advertisement")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if moved := response.Request.URL.String(); moved != r.URL.String() {
		l.base = strings.TrimSuffix(moved, advertisement) // a repository that was renamed
	}
	lines := newReader(response.Body)
	first, err := lines.next()
	if err == nil && strings.HasPrefix(first, "# service=") {
		if _, err = lines.next(); errors.Is(err, errFlush) {
			first, err = lines.next()
		}
	}
	switch {
	case errors.Is(err, errFlush):
		return map[string]string{}, nil // an old server without refs
	case err != nil:
		return nil, err
	case first == "version 2":
		return l.ask(ctx, lines)
	case first == "version 1":
		first, err = lines.next()
		if errors.Is(err, errFlush) {
			return map[string]string{}, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return branches(first, lines)
}

// ask lists the branches by the command of version 2. What the server can do is
// still to be read.
func (l *lister) ask(ctx context.Context, capabilities *reader) (map[string]string, error) {
	format, able := "", false
	for {
		line, err := capabilities.next()
		if errors.Is(err, errFlush) {
			break
		}
		if err != nil {
			return nil, err
		}
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "ls-refs":
			able = true
		case "object-format":
			format = value
		}
	}
	if !able {
		return nil, errors.New("the server cannot list refs")
	}
	var body bytes.Buffer
	write(&body, "command=ls-refs\n")
	if format != "" {
		write(&body, "object-format="+format)
	}
	body.WriteString("0001")
	write(&body, "ref-prefix "+branchPrefix+"\n")
	body.WriteString("0000")
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, l.base+"/git-upload-pack", &body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	response, err := l.do(r, "application/x-git-upload-pack-result")
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	lines := newReader(response.Body)
	first, err := lines.next()
	if errors.Is(err, errFlush) {
		return map[string]string{}, nil
	}
	if err != nil {
		return nil, err
	}
	return branches(first, lines)
}

// branches reads lines "<commit> <ref>", the first of which was read.
func branches(line string, lines *reader) (map[string]string, error) {
	all := map[string]string{}
	for seen := 0; ; seen++ {
		if seen > maxRefs {
			return nil, fmt.Errorf("the repository has more than %d refs", maxRefs)
		}
		line, _, _ = strings.Cut(line, "\x00") // capabilities, in older versions
		commit, ref, ok := strings.Cut(line, " ")
		ref, _, _ = strings.Cut(ref, " ") // attributes, in version 2
		if !ok || !hash(commit) {
			return nil, fmt.Errorf("the server answers %q in the place of a ref", safetext.Cut(safetext.Line(line), maxError))
		}
		if strings.HasPrefix(ref, branchPrefix) {
			all[ref] = strings.ToLower(commit)
		}
		var err error
		line, err = lines.next()
		if errors.Is(err, errFlush) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func hash(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// do makes a call and checks that it was answered by git.
func (l *lister) do(r *http.Request, mediaType string) (*http.Response, error) {
	r.Header.Set("Git-Protocol", "version=2")
	r.Header.Set("User-Agent", "git/2.0 (switchyard)")
	r.Header.Set("Accept", mediaType)
	switch {
	case l.user != "":
		r.SetBasicAuth(l.user, l.password)
	case l.password != "":
		r.Header.Set("Authorization", "Bearer "+l.password)
	}
	response, err := l.client.Do(r)
	if err != nil {
		return nil, errors.New(safetext.Cut(safetext.Line(err.Error()), maxError))
	}
	if err := verdict(response); err != nil {
		response.Body.Close()
		return nil, err
	}
	if got := response.Header.Get("Content-Type"); got != mediaType {
		response.Body.Close()
		return nil, &dispatch.PermanentError{Err: fmt.Errorf("the answer is %q and not git's: is there a repository?", safetext.Cut(safetext.Line(got), maxError))}
	}
	return response, nil
}

// verdict says what an answer's status means to a caller.
func verdict(response *http.Response) error {
	plain := fmt.Errorf("the server answers %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: it may not be cloned with the credentials there are: %v", dispatch.ErrCannotAsk, plain)
	case http.StatusNotFound, http.StatusGone:
		return &dispatch.PermanentError{Err: fmt.Errorf("%w: there is no such repository, or the credentials may not see it", plain)}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		after := time.Duration(0)
		if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
			after = time.Duration(seconds) * time.Second
		}
		if response.StatusCode == http.StatusTooManyRequests || after > 0 {
			return &dispatch.ThrottledError{After: after, Err: plain}
		}
	}
	return plain
}

// errFlush ends a list of lines.
var errFlush = errors.New("flush")

// reader reads git's lines: four hexadecimal digits of the length, which counts
// them, and as many bytes.
type reader struct{ from *bufio.Reader }

func newReader(r io.Reader) *reader {
	return &reader{bufio.NewReaderSize(io.LimitReader(r, maxAnswer), 64<<10)}
}

// next returns a line without its end.
func (r *reader) next() (string, error) {
	var head [4]byte
	if _, err := io.ReadFull(r.from, head[:]); err != nil {
		return "", fmt.Errorf("the answer ends too early: %w", err)
	}
	length, err := strconv.ParseUint(string(head[:]), 16, 16)
	switch {
	case err != nil || length > 0 && length < 4:
		return "", fmt.Errorf("the answer is not git's: %q in the place of a length", head)
	case length == 0:
		return "", errFlush
	}
	text := make([]byte, length-4)
	if _, err := io.ReadFull(r.from, text); err != nil {
		return "", fmt.Errorf("the answer ends too early: %w", err)
	}
	line := strings.TrimSuffix(string(text), "\n")
	if said, failed := strings.CutPrefix(line, "ERR "); failed {
		return "", fmt.Errorf("the server says: %s", safetext.Cut(safetext.Line(said), maxError))
	}
	return line, nil
}

func write(to *bytes.Buffer, line string) { fmt.Fprintf(to, "%04x%s", len(line)+4, line) }
