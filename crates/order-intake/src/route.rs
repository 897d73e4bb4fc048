//! The routes of the API: the one list from which the handler dispatches, and that the document of
//! the API and the template must agree with.

/// A route of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Route {
    PlaceOrder,
    ListOrders,
    ShowOrder,
    CancelOrder,
    ShowMenu,
    ListLocations,
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody, without a token.
    Public,
    /// A customer, with an access token that has [`CUSTOMER_SCOPE`].
    Customer,
}

/// The scope of a customer's access token. ID tokens have no scopes, so a route that requires one
/// refuses them.
pub const CUSTOMER_SCOPE: &str = "aws.cognito.signin.user.admin";

impl Route {
    /// Every route.
    pub const ALL: [Self; 6] = [
        Self::PlaceOrder,
        Self::ListOrders,
        Self::ShowOrder,
        Self::CancelOrder,
        Self::ShowMenu,
        Self::ListLocations,
    ];

    /// The route key of API Gateway: method and path.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::PlaceOrder => "POST /orders",
            Self::ListOrders => "GET /orders",
            Self::ShowOrder => "GET /orders/{id}",
            Self::CancelOrder => "POST /orders/{id}/cancel",
            Self::ShowMenu => "GET /menu/{location}",
            Self::ListLocations => "GET /locations",
        }
    }

    /// Who may call the route.
    #[must_use]
    pub const fn access(self) -> Access {
        match self {
            Self::PlaceOrder | Self::ListOrders | Self::ShowOrder | Self::CancelOrder => {
                Access::Customer
            }
            Self::ShowMenu | Self::ListLocations => Access::Public,
        }
    }

    /// The HTTP method, in capitals.
    #[must_use]
    pub fn method(self) -> &'static str {
        self.parts().0
    }

    /// The path, with parameters in braces.
    #[must_use]
    pub fn path(self) -> &'static str {
        self.parts().1
    }

    /// The route with that route key.
    #[must_use]
    pub fn from_key(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|route| route.key() == key)
    }

    fn parts(self) -> (&'static str, &'static str) {
        self.key().split_once(' ').unwrap_or_default()
    }
}
