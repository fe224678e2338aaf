package rig

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
)

// Delivery is one signed push, ready to be sent.
type Delivery struct {
	ID   string
	SHAs []string
	Body []byte
	// Request is the whole HTTP/1.1 request, so that the load generator spends
	// nothing on building it.
	Request []byte
}

// Push makes a push of n commits as GitHub sends it, each commit with an ID
// that no other delivery of the same source has.
func Push(r *rand.Rand, host string, n int) Delivery {
	d := Delivery{ID: hexID(r, 16)}
	type person map[string]string
	type commit map[string]any
	var commits []commit
	for i := range n {
		sha := hexID(r, 20)
		d.SHAs = append(d.SHAs, sha)
		who := person{"name": "Ada Lovett", "email": "ada@acme.example", "username": "adalovett"}
		commits = append(commits, commit{
			"id": sha, "tree_id": hexID(r, 20), "distinct": true,
			"message":   fmt.Sprintf("api: handle case %d of the importer", i),
			"timestamp": "2026-11-20T10:00:00+01:00",
			"url":       "https://git.acme.example/acme/api/commit/" + sha,
			"author":    who, "committer": who,
			"added": []string{}, "removed": []string{}, "modified": []string{"api/v1/import.go"},
		})
	}
	body, err := json.Marshal(map[string]any{
		"ref": "refs/heads/feature/import", "before": hexID(r, 20), "after": d.SHAs[n-1],
		"created": false, "deleted": false, "forced": false, "base_ref": nil,
		"compare": "https://git.acme.example/acme/api/compare/a...b",
		"commits": commits, "head_commit": commits[n-1],
		"repository": map[string]any{
			"id": 4711, "name": "api", "full_name": "acme/api", "private": true,
			"owner":    map[string]any{"name": "acme", "login": "acme", "id": 12, "type": "Organization"},
			"html_url": "https://git.acme.example/acme/api", "clone_url": "https://git.acme.example/acme/api.git",
			"default_branch": "main", "created_at": 1700000000, "pushed_at": 1763632800,
		},
		"pusher": person{"name": "adalovett", "email": "ada@acme.example"},
		"sender": map[string]any{"login": "adalovett", "id": 7, "type": "User"},
	})
	if err != nil {
		panic(err) // maps of strings and numbers always encode
	}
	mac := hmac.New(sha256.New, []byte(Secret))
	mac.Write(body)
	var b strings.Builder
	fmt.Fprintf(&b, "POST /webhooks/github HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n", host)
	fmt.Fprintf(&b, "X-GitHub-Event: push\r\nX-GitHub-Delivery: %s\r\nX-Hub-Signature-256: sha256=%x\r\nContent-Length: %d\r\n\r\n", d.ID, mac.Sum(nil), len(body))
	d.Request = append([]byte(b.String()), body...)
	d.Body = d.Request[b.Len():]
	return d
}

func hexID(r *rand.Rand, bytes int) string {
	b := make([]byte, bytes)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(b)
}
