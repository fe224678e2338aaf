package config

import (
	"net"
	"regexp"

	"switchyard/asl/api/sigv4"
)

var hostName = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?$`)

// checkEnginePort checks who may call the engine's port, and where.
func (d *decoder) checkEnginePort(at string, e *Embedded) {
	if e.Listen != "" {
		d.checkListen(at+".listen", e.Listen)
	}
	if e.Auth == AuthNone && e.Listen != "" && !d.unresolved[at+".listen"] && !d.failedUnder(at+".listen") && !Loopback(e.Listen) {
		d.failValue(at+".auth", "%s can be reached from other machines, and whoever reaches it could start, change and delete executions; leave auth out, or listen on 127.0.0.1", e.Listen)
	}
	if e.Auth == AuthNone && len(e.Keys) > 0 {
		d.failValue(at+".keys", "auth is none, so no request would be held to them; leave one of the two out")
	}
	seen := map[string]bool{}
	for i, k := range e.Keys {
		key := d.item(at+".keys", i)
		path := key + ".id"
		switch {
		case d.unresolved[path] || d.failedUnder(key):
		case !sigv4.ValidID(k.ID):
			d.failValue(path, "%q is no access key ID: use letters, digits and _, at most 128", k.ID)
		case seen[k.ID]:
			d.failValue(path, "%q is given twice", k.ID)
		}
		seen[k.ID] = true
	}
	for i, h := range e.Hosts {
		path := d.item(at+".hosts", i)
		if !d.unresolved[path] && net.ParseIP(h) == nil && !hostName.MatchString(h) {
			d.failValue(path, "%q is no host name or address; write it without scheme and port, such as engine.example.com", h)
		}
	}
}

// Loopback reports whether an address to listen on, host:port, is by its text
// one that only this machine can reach.
func Loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
