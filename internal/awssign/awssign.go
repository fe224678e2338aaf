// Package awssign computes AWS Signature Version 4 over a canonical request, as
// AWS documents it under "Create a signed AWS API request".
package awssign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Algorithm and Terminator are the fixed parts of what is signed.
const (
	Algorithm  = "AWS4-HMAC-SHA256"
	Terminator = "aws4_request"
)

// Scope is what a signature is good for.
type Scope struct {
	// Time is when it was made, as it is sent along: it begins with YYYYMMDD.
	Time            string
	Region, Service string
}

// Sign returns the signature in hex.
func (s Scope) Sign(secret, canonical string) string {
	sum := sha256.Sum256([]byte(canonical))
	parts := []string{s.Time[:min(8, len(s.Time))], s.Region, s.Service, Terminator}
	key := []byte("AWS4" + secret)
	for _, part := range parts {
		key = mac(key, part)
	}
	text := strings.Join([]string{Algorithm, s.Time, strings.Join(parts, "/"), hex.EncodeToString(sum[:])}, "\n")
	return hex.EncodeToString(mac(key, text))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
