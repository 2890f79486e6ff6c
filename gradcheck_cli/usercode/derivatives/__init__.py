"""Problems for derivatives other than a backward: Jacobians, Hessians, products with vectors."""
