package webhook_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/internal/httpserver"
	"switchyard/webhook"
)

// serve starts a server on the loopback.
func serve(t *testing.T, h http.Handler) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := httpserver.New(h)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Close()
		<-served
	})
	return l.Addr().String()
}

// Load balancers speak HTTP/2 without TLS to what is behind them.
func TestServerSpeaksUnencryptedHTTP2(t *testing.T) {
	addr := serve(t, newHandler(t, takes, &prechecked{}, webhook.Config{}))
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for _, row := range []struct {
		signature string
		size      int
		want      int
	}{{"good", 10, 202}, {"", 10, 401}, {"", 3 << 20, 401}, {"good", 3 << 20, 202}, {"bad", 1 << 20, 401}, {"good", 10, 202}} {
		r := request("POST", "http://"+addr+"/webhooks/fake", row.signature, strings.NewReader(strings.Repeat("x", row.size)))
		r.RequestURI = ""
		resp, err := client.Do(r)
		if err != nil {
			t.Fatalf("%+v: %v", row, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.ProtoMajor != 2 || resp.StatusCode != row.want {
			t.Errorf("%+v: %s %d", row, resp.Proto, resp.StatusCode)
		}
	}
}

// The answer comes before the body does, and the connection ends.
func TestServerRefusesUnsignedWithoutTheBody(t *testing.T) {
	addr := serve(t, newHandler(t, takes, &prechecked{}, webhook.Config{}))
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /webhooks/fake HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", 24<<20)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || !resp.Close || !strings.Contains(string(text), "set it") {
		t.Errorf("%d, close %v, %s (%v)", resp.StatusCode, resp.Close, text, err)
	}
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the answer: %v, want the end", err)
	}
}

// Who announces a body and does not send it holds the connection for a moment.
func TestServerDoesNotWaitForABodyThatItRefuses(t *testing.T) {
	for name, head := range map[string]string{
		"unsigned":   "Content-Length: 1000\r\n",
		"compressed": "X-Sig: good\r\nContent-Encoding: gzip\r\nContent-Length: 1000\r\n",
		"too large":  "X-Sig: good\r\nContent-Length: 1000000000\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &pipeListener{conns: make(chan net.Conn, 1)}
				srv := httpserver.New(newHandler(t, takes, &prechecked{}, webhook.Config{}))
				served := make(chan error)
				go func() { served <- srv.Serve(l) }()
				client, server := net.Pipe()
				l.conns <- server
				start := time.Now()
				if _, err := io.WriteString(client, "POST /webhooks/fake HTTP/1.1\r\nHost: x\r\n"+head+"\r\n{"); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(client)
				if took := time.Since(start); err != nil || took > 4*time.Second || !strings.HasPrefix(string(got), "HTTP/1.1 4") {
					t.Errorf("after %v: %q, %v", took, got, err)
				}
				srv.Close()
				<-served
			})
		})
	}
}

func TestServes(t *testing.T) {
	for path, want := range map[string]bool{
		"/webhooks/github": true, "//webhooks/github": true, "/webhooks//github/": true, "/webhooks/": true, "/webhooks//": true,
		"/webhooks": false, "/webhook/github": false, "/": false, "": false, "/x/webhooks/github": false, "/webhooks/../api": true,
	} {
		if got := webhook.Serves(path); got != want {
			t.Errorf("%q: %v", path, got)
		}
	}
	// And it does not care how many there are.
	h := newHandler(t, takes, &fakeSource{}, webhook.Config{})
	r := request("POST", "/webhooks/fake", "good", strings.NewReader("{}"))
	r.URL.Path = strings.Repeat("/", 60_000) + "webhooks" + strings.Repeat("/", 60_000) + "fake"
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 202 {
		t.Error(w.Code)
	}
}
