//! The use cases, one per route.

use jiff::{SignedDuration, Timestamp};
use platform::{
    cause::chain,
    http::{Problem, Request, Response, accepted, json},
    table::{StoreError, Write},
};
use shop::{
    id::{CustomerId, IdempotencyKey, OrderId},
    order::{Order, Status, Trigger},
    placement::{self, OrderRequest},
    trace::TraceParent,
};
use tables::orders::{Outcome, TriggerError};
use tracing::{Instrument, Span, field};

use crate::{
    menus::{MenuCache, Menus},
    problem::{
        key_reused, no_such_menu, no_such_order, no_such_route, not_cancellable, refused,
        unknown_location,
    },
    request::{
        self, Page,
        page::{cursor, page},
    },
    route::Route,
    view::{LocationsView, OrderView, OrdersView},
};

/// The Orders table, as far as this function may use it. No other function puts or lists orders.
pub trait Orders: tables::orders::Orders {
    /// Writes a new order, unless there is one with its id.
    async fn put(&self, order: &Order) -> Result<Write<Order>, StoreError>;

    /// Reads a page of a customer's orders, newest first; a page that is not full is the last. An
    /// order that was placed in the last seconds may be missing, and one that cannot be read is
    /// logged and left out.
    async fn list(&self, customer: &CustomerId, page: &Page) -> Result<Vec<Order>, StoreError>;
}

/// The handler with its ports.
#[derive(Debug)]
pub struct OrderIntake<S> {
    orders: S,
    menus: MenuCache<S>,
    confirm_within: SignedDuration,
}

impl<S: Orders + Menus + Clone> OrderIntake<S> {
    /// Makes a handler whose orders expire after `confirm_within`, and that caches menus for
    /// `menu_age`.
    pub fn new(store: S, confirm_within: SignedDuration, menu_age: SignedDuration) -> Self {
        Self { orders: store.clone(), menus: MenuCache::new(store, menu_age), confirm_within }
    }

    /// Fills the cache of menus before the first request. If that fails, the requests read them.
    pub async fn prepare(&self, now: Timestamp) {
        if let Err(error) = self.menus.fill(now).await {
            tracing::warn!(
                error = chain(&error),
                "could not read the menus before the first request"
            );
        }
    }

    /// Answers a request. Errors are answers, too.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Response {
        let trace = request::trace(&request);
        let trace_id = trace.as_ref().map(TraceParent::trace_id);
        let span = tracing::info_span!("request", trace_id, order_id = field::Empty);
        self.answer(request, trace, now).instrument(span).await
    }

    async fn answer(
        &self,
        request: Request,
        trace: Option<TraceParent>,
        now: Timestamp,
    ) -> Response {
        let answer = match request.route_key.as_deref().and_then(Route::from_key) {
            Some(Route::PlaceOrder) => self.place(&request, trace, now).await,
            Some(Route::ListOrders) => self.list(&request).await,
            Some(Route::ShowOrder) => self.show(&request).await,
            Some(Route::CancelOrder) => self.cancel(&request, now).await,
            Some(Route::ShowMenu) => self.menu(&request, now).await,
            Some(Route::ListLocations) => self.locations(now).await,
            None => Err(no_such_route().into()),
        };
        answer.unwrap_or_else(|failure| match failure {
            Failure::Problem(problem) => (*problem).into(),
            Failure::Store(_) | Failure::Trigger(_) => {
                tracing::error!(error = chain(&failure), "could not answer a request");
                Problem::unavailable().into()
            }
        })
    }

    async fn place(
        &self,
        request: &Request,
        trace: Option<TraceParent>,
        now: Timestamp,
    ) -> Result<Response, Failure> {
        let customer = request::customer(request)?;
        let key = request::idempotency_key(request)?;
        let wanted = request::order(request)?;

        let id = OrderId::derive(&customer, &key);
        about(id);
        let new = self.new_order(&wanted, &customer, &key, now).await?;
        let order = match new.map(|order| Order { traceparent: trace, ..order }) {
            Ok(order) => match self.orders.put(&order).await? {
                Write::Conflict(first) => replay(first, &wanted)?,
                Write::Committed => {
                    tracing::info!(
                        location = %order.location,
                        total = order.total,
                        currency = order.currency.code(),
                        "order placed"
                    );
                    order
                }
            },
            // The same request may have been accepted before the menu or the clock changed.
            Err(refusal) => match self.orders.get(id).await? {
                Some(first) => replay(first, &wanted)?,
                None => return Err(refusal.into()),
            },
        };
        let path = format!("/orders/{}", order.order_id);
        Ok(accepted(&path, &OrderView::from(order)))
    }

    /// The wanted order, or the problem if the shop, its menu or the clock does not allow it.
    async fn new_order(
        &self,
        wanted: &OrderRequest,
        customer: &CustomerId,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Result<Order, Problem>, StoreError> {
        let Some(menu) = self.menus.menu(&wanted.location, now).await? else {
            return Ok(Err(unknown_location(&wanted.location)));
        };
        let order =
            placement::place(wanted, customer.clone(), key, &menu, now, self.confirm_within);
        Ok(order.map_err(|refusal| refused(&refusal)))
    }

    async fn show(&self, request: &Request) -> Result<Response, Failure> {
        Ok(json(200, &OrderView::from(self.own_order(request).await?)))
    }

    /// Cancels an order, until its pickup time. The request's body is ignored: the path says
    /// everything.
    async fn cancel(&self, request: &Request, now: Timestamp) -> Result<Response, Failure> {
        let order = self.own_order(request).await?;
        match tables::orders::apply_trigger(&self.orders, order, &Trigger::Cancelled, None, now)
            .await?
        {
            Outcome::Unchanged(order) if order.status != Status::Cancelled => {
                Err(not_cancellable(&order).into())
            }
            Outcome::Changed(order) | Outcome::Unchanged(order) => {
                Ok(json(200, &OrderView::from(order)))
            }
        }
    }

    /// The order that the path names. An order of another customer is reported as missing.
    async fn own_order(&self, request: &Request) -> Result<Order, Failure> {
        let customer = request::customer(request)?;
        let id = request::order_id(request)?;
        about(id);
        let order = self.orders.get(id).await?.filter(|order| order.customer_id == customer);
        Ok(order.ok_or_else(no_such_order)?)
    }

    async fn list(&self, request: &Request) -> Result<Response, Failure> {
        let customer = request::customer(request)?;
        let page = page(request)?;
        let orders = self.orders.list(&customer, &page).await?;
        // A full page may be the last one; then the next page is empty.
        let next = orders.last().filter(|_| orders.len() == page.limit).map(cursor);
        let orders = orders.into_iter().map(OrderView::from).collect();
        Ok(json(200, &OrdersView { orders, next }))
    }

    async fn menu(&self, request: &Request, now: Timestamp) -> Result<Response, Failure> {
        let location = request::location(request)?;
        let menu = self.menus.menu(&location, now).await?;
        let menu = menu.ok_or_else(|| no_such_menu(&location))?;
        Ok(json(200, &*menu))
    }

    async fn locations(&self, now: Timestamp) -> Result<Response, Failure> {
        Ok(json(200, &LocationsView { locations: &self.menus.locations(now).await? }))
    }
}

/// Puts the order's id on all further log lines of the request.
fn about(order: OrderId) {
    Span::current().record("order_id", field::display(order));
}

/// The order that the same request has placed before. An erased order has no fingerprint, so that
/// it is shown to nobody.
fn replay(first: Order, wanted: &OrderRequest) -> Result<Order, Problem> {
    if first.fingerprint == wanted.fingerprint() { Ok(first) } else { Err(key_reused()) }
}

/// Why a request is not answered as it asks for.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The request is at fault, and the problem is the answer.
    #[error("the request was refused")]
    Problem(Box<Problem>),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Trigger(#[from] TriggerError),
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

#[cfg(test)]
mod tests;
