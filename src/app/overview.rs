//! What the admin listener asks the running gateway.

use std::pin::Pin;
use std::sync::Arc;

use super::BoundAddress;
use crate::admin::{self, InstanceInfo};
use crate::config::{Access, Config, Instance};
use crate::rejections::{Rejection, Rejections};
use crate::store::Readiness;

/// The gateway as the admin API shows it.
#[derive(Debug)]
pub(super) struct Overview {
    instances: Vec<InstanceInfo>,
    rejections: Arc<Rejections>,
    readiness: Readiness,
}

impl Overview {
    pub(super) fn new(config: &Config, addresses: &[BoundAddress], rejections: Arc<Rejections>, readiness: Readiness) -> Self {
        let instances = config.instances.iter().map(|instance| describe(instance, config, addresses)).collect();
        Self { instances, rejections, readiness }
    }
}

impl admin::Gateway for Overview {
    fn instances(&self) -> Vec<InstanceInfo> {
        self.instances.clone()
    }

    fn rejections(&self, instance: &str) -> Option<Vec<Rejection>> {
        self.rejections.of(instance)
    }

    fn ready(&self) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send + '_>> {
        Box::pin(async { self.readiness.check().await.map_err(|error| error.to_string()) })
    }
}

fn describe(instance: &Instance, config: &Config, addresses: &[BoundAddress]) -> InstanceInfo {
    let path = format!("/instance/execute/{}", instance.name);
    let outside = config.server.public_url.iter().map(|url| format!("{url}{path}"));
    let inside = addresses.iter().filter_map(|bound| match &bound.instance {
        None => Some(format!("{}{path}", bound.origin())),
        Some(own) => (*own == instance.name).then(|| format!("{}/", bound.origin())),
    });
    InstanceInfo {
        name: instance.name.clone(),
        urls: outside.chain(inside).collect(),
        auth: match instance.access {
            Access::Open => "none",
            Access::Basic { .. } => "basic",
            Access::Header { .. } => "header",
        },
        incident_type: instance.incident_type.clone(),
        store_samples: instance.store_samples,
        duplication_key: instance.duplication_key.clone(),
        duplication_window_seconds: instance.duplication_window.as_secs(),
    }
}
