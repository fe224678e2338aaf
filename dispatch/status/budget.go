package status

import (
	"sort"
	"time"
)

// budget remembers when posts were made, and so keeps any 60 seconds and any
// 60 minutes within limits. A token bucket would not: full, and then refilled
// while it drains, it lets nearly twice the limit pass in one window.
type budget struct {
	// posts are the times of the posts of the last hour, oldest first.
	posts []time.Time
}

// room returns how many posts may be made now, at most most, and if none when
// the next one may.
func (b *budget) room(now time.Time, l Limits, most int) (int, time.Time) {
	b.forget(now)
	room, next := most, time.Time{}
	for _, w := range []struct {
		limit int
		span  time.Duration
	}{{l.PerMinute, time.Minute}, {l.PerHour, time.Hour}} {
		if w.limit <= 0 {
			continue
		}
		// The post that must have left the window before one more fits.
		first := sort.Search(len(b.posts), func(i int) bool { return now.Sub(b.posts[i]) < w.span })
		within := len(b.posts) - first
		if within < w.limit {
			room = min(room, w.limit-within)
			continue
		}
		room = 0
		if at := b.posts[len(b.posts)-w.limit].Add(w.span); at.After(next) {
			next = at
		}
	}
	return room, next
}

// spend records n posts made now.
func (b *budget) spend(now time.Time, n int) {
	for range n {
		b.posts = append(b.posts, now)
	}
}

func (b *budget) forget(now time.Time) {
	old := 0
	for old < len(b.posts) && now.Sub(b.posts[old]) >= time.Hour {
		old++
	}
	b.posts = b.posts[old:]
}
