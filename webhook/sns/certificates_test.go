package sns_test

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"switchyard/webhook/sns"
)

// No message makes us ask for anything but a certificate of SNS in the topic's
// region.
func TestHostileCertificateURLsAreNotFetched(t *testing.T) {
	f := newFixture(t, newAuthority(t, nil), sns.Config{})
	const path = "/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
	for _, url := range []string{
		"http://sns.eu-west-1.amazonaws.com" + path,
		"https://sns.eu-west-1.amazonaws.com:443" + path, "https://sns.eu-west-1.amazonaws.com:8443" + path,
		"https://sns.us-east-1.amazonaws.com" + path, "https://sns.eu-west-1.amazonaws.com.cn" + path,
		"https://sns.eu-west-1.amazonaws.com.evil.example" + path, "https://evil.example/sns.eu-west-1.amazonaws.com" + path,
		"https://sns.eu-west-1.amazonaws.com@evil.example" + path, "https://evil@sns.eu-west-1.amazonaws.com" + path,
		"https://SNS.eu-west-1.amazonaws.com" + path, "https://s3.amazonaws.com" + path,
		host + "/other/../SimpleNotificationService-x.pem", host + "/evil" + path, host + path + "?x=y", host + path + "?", host + path + "#f",
		host + "/SimpleNotificationService.pem", host + "/SimpleNotificationService-%2e%2e.pem", host + "/SimpleNotificationService-a/b.pem",
		"//sns.eu-west-1.amazonaws.com" + path, "https:sns.eu-west-1.amazonaws.com" + path, "file:///etc/passwd", "https://127.0.0.1" + path, "\x00", "",
	} {
		m := notification("a")
		m["SigningCertURL"] = url
		if got := f.verify(f.sign(m)); got != "refused" {
			t.Errorf("%q: %q", url, got)
		}
	}
	if n := f.net.count(); n != 0 {
		t.Errorf("asked for %v", f.net.asked)
	}
}

func TestCertificatesAreChecked(t *testing.T) {
	other := func(dns ...string) func(*x509.Certificate) { return func(c *x509.Certificate) { c.DNSNames = dns } }
	const aia = "http://crt.rootca1.amazontrust.com/middle.cer"
	issuedAt := func(url string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.IssuingCertificateURL = []string{url} }
	}
	chain := func(a *authority) func() *http.Response { return page(200, inPEM(a.leaf, a.middle)) }
	alone := func(a *authority) func() *http.Response { return page(200, inPEM(a.leaf)) }
	for name, row := range map[string]struct {
		leaf   func(*x509.Certificate)
		answer func(a *authority) func() *http.Response
		want   string
		asked  int
	}{
		"a chain":                    {nil, chain, "", 1},
		"of the region":              {other("sns.eu-west-1.amazonaws.com"), chain, "", 1},
		"of another region":          {other("sns.us-east-1.amazonaws.com"), chain, "unsure", 1},
		"of another host":            {other("evil.example"), chain, "unsure", 1},
		"of a common name alone":     {other(), chain, "unsure", 1},
		"the leaf alone":             {nil, alone, "unsure", 1},
		"its issuer elsewhere":       {issuedAt(aia), alone, "", 2},
		"its issuer at an odd place": {issuedAt("http://evil.example/middle.cer"), alone, "unsure", 1},
		"its issuer in a file":       {issuedAt("file:///etc/x.amazontrust.com"), alone, "unsure", 1},
		"out of date":                {func(c *x509.Certificate) { c.NotAfter = start.Add(-time.Minute) }, chain, "unsure", 1},
		"of another authority":       {nil, func(*authority) func() *http.Response { return page(200, inPEM(selfSigned(t))) }, "unsure", 1},
		"none":                       {nil, func(*authority) func() *http.Response { return page(200, "hello") }, "unsure", 1},
		"garbage in PEM": {nil, func(*authority) func() *http.Response {
			return page(200, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, "unsure", 1},
		"too much":        {nil, func(*authority) func() *http.Response { return page(200, strings.Repeat("x", 100<<10)) }, "unsure", 1},
		"a redirect":      {nil, func(*authority) func() *http.Response { return page(302, "https://evil.example/x.pem") }, "unsure", 1},
		"not there":       {nil, func(*authority) func() *http.Response { return page(403, "AccessDenied") }, "unsure", 1},
		"SNS is troubled": {nil, func(*authority) func() *http.Response { return page(503, "") }, "unsure", 1},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t, row.leaf)
			f := newFixture(t, a, sns.Config{})
			f.net.set(certURL, row.answer(a))
			f.net.set(aia, page(200, string(a.middle.Raw)))
			for range 3 {
				if got := f.verify(a.sign(notification("a"))); got != row.want {
					t.Errorf("%q, want %q", got, row.want)
				}
			}
			if n := f.net.count(); n != row.asked {
				t.Errorf("asked for %v", f.net.asked)
			}
		})
	}
}

// selfSigned is a certificate of SNS that nobody vouches for.
func selfSigned(t *testing.T) *x509.Certificate {
	key := keys()[2]
	return certify(t, x509.Certificate{DNSNames: []string{"sns.amazonaws.com"}, IsCA: true, BasicConstraintsValid: true}, nil, key, key)
}

func TestCertificatesAreKept(t *testing.T) {
	a := newAuthority(t, nil)
	f := newFixture(t, a, sns.Config{MaxAge: 1000 * time.Hour})
	m := a.sign(notification("a"))
	take := func(want string, asked int) {
		t.Helper()
		if got := f.verify(m); got != want || f.net.count() != asked {
			t.Errorf("%q after %d fetches, want %q and %d", got, f.net.count(), want, asked)
		}
	}
	f.net.set(certURL, page(503, ""))
	take("unsure", 1)
	f.net.set(certURL, page(200, inPEM(a.leaf, a.middle)))
	take("unsure", 1)
	f.later(61 * time.Second)
	take("", 2)
	f.later(23 * time.Hour)
	f.net.set(certURL, page(503, ""))
	take("", 2)
	f.later(2 * time.Hour)
	take("unsure", 3)
}

// Hostile messages can name any number of certificates. They cost a few fetches,
// and nothing of what is known.
func TestMadeUpCertificatesAreNotFetchedForLong(t *testing.T) {
	a := newAuthority(t, nil)
	f := newFixture(t, a, sns.Config{})
	genuine := a.sign(notification("a"))
	if got := f.verify(genuine); got != "" {
		t.Fatal(got)
	}
	for i := range 1000 {
		m := notification("a")
		m["SigningCertURL"] = fmt.Sprintf("%s/SimpleNotificationService-%032x.pem", host, i)
		if got := f.verify(a.sign(m)); got != "unsure" {
			t.Fatal(got)
		}
		f.later(100 * time.Millisecond)
	}
	// 100 s at one in 10 s, and a few at once.
	if n := f.net.count(); n > 20 {
		t.Errorf("%d fetches", n)
	}
	asked := f.net.count()
	if got := f.verify(genuine); got != "" || f.net.count() != asked {
		t.Errorf("%q after %d fetches, want none more than %d", got, f.net.count(), asked)
	}
	for i := range 2000 {
		f.later(11 * time.Second)
		m := notification("a")
		m["SigningCertURL"] = fmt.Sprintf("%s/SimpleNotificationService-x%031x.pem", host, i)
		m["Timestamp"] = start.Add(time.Duration(f.at.Load())).Format(time.RFC3339)
		f.verify(m)
	}
	asked = f.net.count()
	again := notification("a")
	again["Timestamp"] = start.Add(time.Duration(f.at.Load())).Format(time.RFC3339)
	if got := f.verify(a.sign(again)); got != "" || f.net.count() != asked {
		t.Errorf("made-up certificates pushed out the one that counts: %q, %d fetches more", got, f.net.count()-asked)
	}
}

func TestOneFetchServesAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthority(t, nil)
		f := newFixture(t, a, sns.Config{})
		f.net.hold = make(chan struct{})
		m := a.sign(notification("a"))
		var wait sync.WaitGroup
		for range 50 {
			wait.Go(func() {
				if got := f.verify(m); got != "" {
					t.Error(got)
				}
			})
		}
		synctest.Wait()
		close(f.net.hold)
		wait.Wait()
		if n := f.net.count(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}
