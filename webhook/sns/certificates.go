package sns

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	// fetchTimeout bounds one fetch; SNS waits 15 s for an answer.
	fetchTimeout = 4 * time.Second
	// maxFetched is how much is read of an answer.
	maxFetched = 64 << 10
	// keepCertificate and keepFailure are how long it is known what a URL has.
	keepCertificate = 24 * time.Hour
	keepFailure     = time.Minute
	// maxKnown is of how many URLs that is known. Genuine ones are few.
	maxKnown = 64
	// Anybody can name URLs of SNS that have never been asked for.
	fetchEvery = 10 * time.Second
	fetchBurst = 6
	// maxIssuers is how many certificates are fetched to complete a chain.
	maxIssuers = 3
)

var certificatePath = regexp.MustCompile(`^/SimpleNotificationService-[0-9a-zA-Z]{1,64}\.pem$`)

// checkCertificateURL refuses URLs that SNS of the host does not name.
func checkCertificateURL(text, host string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host != host || u.User != nil || u.Opaque != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || !certificatePath.MatchString(u.EscapedPath()) {
		return fmt.Errorf("SigningCertURL: %s is not a signing certificate of SNS, https://%s/SimpleNotificationService-….pem", shown(text), host)
	}
	return nil
}

// certificates fetches and keeps the certificates that SNS signs with. It is
// safe for concurrent use.
type certificates struct {
	client *http.Client
	roots  *x509.CertPool // nil for the system's
	now    func() time.Time
	pace   *rate.Limiter
	group  singleflight.Group

	mu    sync.Mutex
	known map[string]fetched
}

// fetched is what came of a URL.
type fetched struct {
	key   *rsa.PublicKey
	err   error
	until time.Time
}

func newCertificates(client *http.Client, roots *x509.CertPool, now func() time.Time) *certificates {
	return &certificates{client: client, roots: roots, now: now, pace: rate.NewLimiter(rate.Every(fetchEvery), fetchBurst), known: map[string]fetched{}}
}

// key is the key of the certificate at a URL of SNS at the host. Whoever asks
// for one that is being fetched waits for it.
func (c *certificates) key(address, host string) (*rsa.PublicKey, error) {
	if f, ok := c.recall(address); ok {
		return f.key, f.err
	}
	got, _, _ := c.group.Do(address, func() (any, error) {
		if f, ok := c.recall(address); ok {
			return f, nil
		}
		if !c.pace.AllowN(c.now(), 1) {
			return fetched{err: errors.New("too many signing certificates were asked for that are not known: send it again in a minute")}, nil
		}
		f := c.fetch(address, host)
		c.remember(address, f)
		return f, nil
	})
	f := got.(fetched)
	return f.key, f.err
}

func (c *certificates) recall(address string) (fetched, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.known[address]
	return f, ok && c.now().Before(f.until)
}

// remember drops what is out of date, failures before certificates.
func (c *certificates) remember(address string, f fetched) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known[address] = f
	if len(c.known) <= maxKnown {
		return
	}
	worst := ""
	for a, other := range c.known {
		if a == address {
			continue
		}
		if w, ok := c.known[worst]; !ok || (other.key == nil) && (w.key != nil) || (other.key == nil) == (w.key == nil) && other.until.Before(w.until) {
			worst = a
		}
	}
	delete(c.known, worst)
}

// fetch gets and checks a certificate.
func (c *certificates) fetch(address, host string) fetched {
	f := fetched{until: c.now().Add(keepFailure)}
	text, peers, err := get(c.client, address)
	if err != nil {
		f.err = fmt.Errorf("fetch the signing certificate: %w", err)
		return f
	}
	leaf, rest, err := parseChain(text)
	if err == nil {
		// SNS's own host is mostly certified by the same authority.
		err = c.verify(leaf, append(rest, peers...), host)
	}
	if err != nil {
		f.err = fmt.Errorf("the signing certificate at %s: %w", address, err)
		return f
	}
	key, ok := leaf.PublicKey.(*rsa.PublicKey)
	if !ok {
		f.err = fmt.Errorf("the signing certificate at %s has a key of type %T, not RSA", address, leaf.PublicKey)
		return f
	}
	f.key, f.until = key, c.now().Add(keepCertificate)
	if leaf.NotAfter.Before(f.until) {
		f.until = leaf.NotAfter
	}
	return f
}

// verify checks that the leaf is SNS's, and that a trusted authority says so.
func (c *certificates) verify(leaf *x509.Certificate, rest []*x509.Certificate, host string) error {
	names := []string{host, globalName(host)}
	if !slices.ContainsFunc(names, func(name string) bool { return leaf.VerifyHostname(name) == nil }) {
		return fmt.Errorf("it is not of %s", strings.Join(names, " or "))
	}
	opts := x509.VerifyOptions{
		Roots: c.roots, Intermediates: x509.NewCertPool(), CurrentTime: c.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, cert := range rest {
		opts.Intermediates.AddCert(cert)
	}
	below := leaf
	for range maxIssuers {
		_, err := leaf.Verify(opts)
		var unknown x509.UnknownAuthorityError
		if err == nil || !errors.As(err, &unknown) {
			return err
		}
		issuer := c.issuer(below)
		if issuer == nil {
			return err
		}
		opts.Intermediates.AddCert(issuer)
		below = issuer
	}
	_, err := leaf.Verify(opts)
	return err
}

// globalName is the name in SNS's certificates, which is without a region.
func globalName(host string) string {
	parts := strings.SplitN(host, ".", 3)
	return parts[0] + "." + parts[len(parts)-1]
}

// issuer fetches who issued a certificate, where that says so and is Amazon's
// authority; nil if there is none. It proves nothing by itself.
func (c *certificates) issuer(of *x509.Certificate) *x509.Certificate {
	for _, address := range of.IssuingCertificateURL {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.HasSuffix(u.Host, ".amazontrust.com") {
			continue
		}
		text, _, err := get(c.client, address)
		if err != nil {
			continue
		}
		if block, _ := pem.Decode(text); block != nil {
			text = block.Bytes
		}
		if cert, err := x509.ParseCertificate(text); err == nil {
			return cert
		}
	}
	return nil
}

// get asks for a URL, within bounds, and follows no redirect. peers are the
// certificates that the host showed.
func get(client *http.Client, address string) (text []byte, peers []*x509.Certificate, err error) {
	//nolint:noctx // the client has a timeout, and a Source no context
	resp, err := client.Get(address)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers %s", resp.Request.URL.Host, resp.Status)
	}
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxFetched+1))
	if err == nil && len(text) > maxFetched {
		err = fmt.Errorf("%s answers with more than %d bytes", resp.Request.URL.Host, maxFetched)
	}
	if resp.TLS != nil {
		peers = resp.TLS.PeerCertificates
	}
	return text, peers, err
}

// parseChain reads a certificate and those that follow it.
func parseChain(text []byte) (leaf *x509.Certificate, rest []*x509.Certificate, err error) {
	for {
		block, after := pem.Decode(text)
		if block == nil {
			break
		}
		text = after
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("is no certificate: %w", err)
		}
		if leaf == nil {
			leaf = cert
		} else {
			rest = append(rest, cert)
		}
	}
	if leaf == nil {
		return nil, nil, errors.New("is no certificate in PEM")
	}
	return leaf, rest, nil
}
