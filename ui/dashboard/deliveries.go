package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"switchyard/dispatch"
	"switchyard/internal/safetext"
)

// deliveriesSize is how many deliveries a page lists.
const deliveriesSize = 50

// deliveriesPage lists what came in.
type deliveriesPage struct {
	page
	Source, Repository string
	Deliveries         []deliveryRow
	Older, Newest      string
}

// deliveryRow is a delivery in a list.
type deliveryRow struct {
	dispatch.Delivery
	At   stamp
	Link string
	// Became says in a few words what became of it.
	Became string
}

func deliveryLink(id string) string { return "/deliveries/" + url.PathEscape(id) }

func (d *Dashboard) showDeliveries(w http.ResponseWriter, r *http.Request, s *Session) {
	q := r.URL.Query()
	p := deliveriesPage{page: d.pageFor(s, "Deliveries", "/deliveries"), Source: strings.TrimSpace(q.Get("source")), Repository: strings.TrimSpace(q.Get("repository"))}
	p.Live = "/live"
	before, err := strconv.ParseInt(q.Get("before"), 10, 64)
	if err != nil || before < 0 {
		before = 0 // the newest
	}
	found, err := d.read.Deliveries(r.Context(), dispatch.DeliveryFilter{Source: p.Source, Repository: p.Repository, Before: before, Limit: deliveriesSize})
	if err != nil {
		d.broken(w, fmt.Errorf("list deliveries: %w", err))
		return
	}
	for i := range found.Deliveries {
		v := &found.Deliveries[i]
		p.Deliveries = append(p.Deliveries, deliveryRow{*v, stamp(v.ReceivedAt), deliveryLink(v.ID), became(v)})
	}
	p.Older, p.Newest = p.address(found.Next), ""
	if found.Next == 0 {
		p.Older = ""
	}
	if before != 0 {
		p.Newest = p.address(0)
	}
	d.show(w, http.StatusOK, "deliveries.html", &p)
}

// address is that of the page of the same filters that begins below a Seq.
func (p *deliveriesPage) address(before int64) string {
	v := url.Values{}
	for name, value := range map[string]string{"source": p.Source, "repository": p.Repository} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if before != 0 {
		v.Set("before", strconv.FormatInt(before, 10))
	}
	return strings.TrimSuffix("/deliveries?"+v.Encode(), "?")
}

// became says what became of a delivery.
func became(v *dispatch.Delivery) string {
	switch {
	case v.State == dispatch.DeliveryPending:
		return "is about to be routed"
	case v.State == dispatch.DeliveryCompleting:
		return "waits: " + v.WaitsFor
	case v.Requested == 0 && v.Ignored > 0:
		return "ignored"
	case v.Requested == 0:
		return "nothing to start"
	case v.Ignored > 0:
		return fmt.Sprintf("%d started, %d left out", v.Requested, v.Ignored)
	}
	return fmt.Sprintf("%d started", v.Requested)
}

// deliveryPage is one delivery.
type deliveryPage struct {
	page
	Delivery                deliveryRow
	dispatch.DeliveryDetail // with at most maxListed of its lists
	// MoreExecutions and MoreReasons count what is not listed.
	MoreExecutions, MoreReasons int
	// Event is the event as JSON, EventCut says that it is the beginning of it.
	Event    string
	EventCut bool
}

// shownEvent is how much of an event a page shows, in characters.
const shownEvent = 64 << 10

func (d *Dashboard) showDelivery(w http.ResponseWriter, r *http.Request, s *Session) {
	found, err := d.read.Delivery(r.Context(), r.PathValue("id"))
	switch {
	case errors.Is(err, dispatch.ErrNotFound):
		d.tell(w, s, http.StatusNotFound, "There is no such delivery, or it is no longer in the journal.")
		return
	case err != nil:
		d.broken(w, err)
		return
	}
	p := deliveryPage{page: d.pageFor(s, "Delivery "+safetext.Cut(safetext.Line(found.ID), 40), ""), DeliveryDetail: found, Event: pretty(&found.Event)}
	p.Delivery = deliveryRow{found.Delivery, stamp(found.ReceivedAt), deliveryLink(found.ID), became(&found.Delivery)}
	if over := len(found.Executions) - maxListed; over > 0 {
		p.Executions, p.MoreExecutions = found.Executions[:maxListed], over
	}
	if over := len(found.Reasons) - maxListed; over > 0 {
		p.Reasons, p.MoreReasons = found.Reasons[:maxListed], over
	}
	if cut := safetext.Cut(p.Event, shownEvent); cut != p.Event {
		p.Event, p.EventCut = cut, true
	}
	d.show(w, http.StatusOK, "delivery.html", &p)
}

// replay routes a delivery again.
func (d *Dashboard) replay(w http.ResponseWriter, r *http.Request, s *Session) {
	id := r.PathValue("id")
	if _, err := d.do.Replay(r.Context(), id); err != nil {
		d.refuse(w, s, "replay", id, err)
		return
	}
	d.log.Info("acted", zap.String("act", "replay"), zap.String("delivery_id", safetext.Line(id)), zap.String("by", safetext.Line(s.By)))
	http.Redirect(w, r, deliveryLink(id), http.StatusSeeOther)
}
